"""Miniatures of sfumato that are told what lies where: folders of weights in the ecosystem's format, each with a card.

`sfumato` finds them by their names once this package is installed.
"""
