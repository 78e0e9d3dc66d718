"""Where a test of the command line lives, and how it runs commands there."""

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner, Result

from genlib.cli import app

CHECKPOINTS = {
    "vae-mnist": {"latent": 2},
    "gan-mnist": {"generator_width": 4, "discriminator_width": 4},
    "draw-mnist": {"steps": 2, "hidden": 8, "latent": 4},
    "pixelcnn-mnist": {"hidden": 4, "blocks": 1, "head": 4},
}
TEST_IMAGES = 24


@dataclass(frozen=True)
class Home:
    """The folder everything is in, and the commands run there."""

    folder: Path

    def run(self, *arguments: object) -> Result:
        """Run a command in this process."""
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    def done(self, *arguments: object) -> Result:
        """Run a command that must work."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.stderr
        return result

    def refused(self, *arguments: object) -> str:
        """Run a command that must fail with one sentence; returns it."""
        result = self.run(*arguments)
        assert result.exit_code == 2, (result.exit_code, result.stdout, result.stderr)
        assert "Traceback" not in result.output
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        assert len(lines) == 1, result.stderr
        assert not result.stdout
        return lines[0]
