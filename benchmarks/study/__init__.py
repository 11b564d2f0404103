"""The study of issue "Does it work?": arms, runner, rows and analysis. See docs/study_plan.md."""
