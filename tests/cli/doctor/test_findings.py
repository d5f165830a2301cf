from wallet_guard.cli.doctor.findings import Check, Finding, Severity, SkippedError, examine, note, warning


def refuse(_scene):
    raise SkippedError("nothing there")


def may_not(_scene):
    raise PermissionError(13, "Permission denied", "/secret")


def breaks_off(_scene):
    yield Finding("first", "mend")
    raise OSError("the disk went away")


def test_what_cannot_be_looked_at_is_skipped_and_says_why(guard):
    checks = [Check("a", refuse), Check("b", may_not), Check("c", breaks_off)]
    assert [(result.check, result.findings, result.skipped) for result in examine(checks, guard.scene())] == [
        ("a", (), "nothing there"),
        ("b", (), "/secret: Permission denied; run this as root"),
        ("c", (), "the disk went away"),
    ]


def test_severities():
    assert [each("x", "y").severity for each in (Finding, warning, note)] == list(Severity)
