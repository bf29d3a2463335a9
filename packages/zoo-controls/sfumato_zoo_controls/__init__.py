"""Networks that control the miniature of sfumato, and the one that is told what to change in a picture: folders of
weights in the ecosystem's format, each with its card.

`sfumato` finds them by their names once this package is installed.
"""
