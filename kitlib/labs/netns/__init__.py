"""The netns lab."""
