"""The thin package that the notebooks import. Its folders are floors; none imports one above it.

    trace hub tools hooks agent team    what every project copies: read in notebooks 01 to 03
    spawn delegation budget             built on it in 04, 05 and 06
    steering run                        a person and a team that runs: 07
    billing/                            the example of 05 and 06: gateway, refund, roles, files
    replies/                            plumbing: where replies come from without a model
    views/                              plumbing: pictures of a run, made from its log
    lessons/                            plumbing: the checks of the exercises, and the one tool

The first four lines are taught: they never import plumbing, and run with a plain AsyncAnthropic.
"""
