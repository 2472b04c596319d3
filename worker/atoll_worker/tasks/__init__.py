"""What islands train: the Task protocol and the tasks that come with Atoll."""
