"""The suite: a folder per capability, plus architecture, journeys and chaos."""
