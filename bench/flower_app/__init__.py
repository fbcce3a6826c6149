"""The app of `bench_flower.py`: federated averaging whose training adds a constant.

`clients` and `servers` hold a module for every way to do it, under the same name.
"""
