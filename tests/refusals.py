"""What a command says of a wrong request, for tests."""


def refused(main, options, capsys):
    """The one line that a wrong request gets; the command ends with status 2 and prints no more."""
    try:
        status = main([str(option) for option in options])
    except SystemExit as end:
        status = end.code
    out, error = capsys.readouterr()
    assert (status, out, error.count("\n")) == (2, "", 1), error
    return error
