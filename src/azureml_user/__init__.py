"""The module that Azure ML puts beside a scoring script, so that scripts written for it import here too."""
