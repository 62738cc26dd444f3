"""Networks: domain functions, the manager that makes hosts follow, and the lower half on each host."""
