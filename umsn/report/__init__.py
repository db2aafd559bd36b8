"""One HTML file that shows an evaluation, a training and a kernel bank.

In: the folder of an evaluation or of a training. Out: a page that needs nothing but a browser.
"""
