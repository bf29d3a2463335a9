"""Networks that control the miniature of sfumato: folders of weights in the ecosystem's format, each with its card.

`sfumato` finds them by their names once this package is installed.
"""
