"""The neighbours on one laptop: do they behave as the real ones would?"""
