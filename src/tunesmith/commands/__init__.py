"""The commands of the command line, in the order that `tunesmith --help` has them."""

from tunesmith.commands import (
    augment,
    bench,
    chat,
    demo,
    export,
    fit,
    harm,
    judge,
    new,
    predict,
    pretrain,
    serve,
)

COMMANDS = (
    fit.register,
    judge.register,
    predict.register,
    demo.register,
    judge.register_check,
    augment.register,
    bench.register,
    chat.register,
    export.register,
    harm.register,
    new.register,
    pretrain.register,
    serve.register,
)
