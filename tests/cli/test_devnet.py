import subprocess
import sys


def wallet_guard(*words):
    command = [sys.executable, "-m", "wallet_guard.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_options_go_to_the_chain_itself():
    done = wallet_guard("devnet", "--help")
    assert done.returncode == 0
    assert "--finality-lag" in done.stdout


def test_a_wrong_option_is_the_chains_to_refuse():
    done = wallet_guard("devnet", "--nonsense")
    assert done.returncode == 2
    assert "--nonsense" in done.stderr


def test_ask_wants_a_url_and_a_method():
    done = wallet_guard("devnet", "ask")
    assert done.returncode == 2
    assert "usage: wallet-guard devnet ask URL METHOD" in done.stderr


def test_ask_says_when_nobody_listens():
    done = wallet_guard("devnet", "ask", "ws://127.0.0.1:1", "devnet_info")
    assert done.returncode == 1
    assert done.stderr.startswith("wallet-guard: devnet_info: ")
    assert "Traceback" not in done.stderr
