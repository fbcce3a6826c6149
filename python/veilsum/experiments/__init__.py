"""Comparisons and reproductions: measured, judged by stated rules, drawn and reported."""
