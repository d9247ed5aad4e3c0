"""What an SCM does when it is asked: sample, plan, abduct, counterfactual, log_prob."""
