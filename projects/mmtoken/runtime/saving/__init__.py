"""Checkpoints that are whole or not there, written in an order in which nothing is lost."""
