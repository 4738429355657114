<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\CommandLine;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Process;

/** sse.adopt beside another extension that replaces the same functions of PHP (tests/servers/adopt/replace). */
final class AdoptReplacedTest extends ServerTestCase
{
    public function testOneThatIsLoadedBeforeIsGoneOnTo(): void
    {
        // In an adopted response this extension sleeps by itself.
        self::assertSame('slept, 1 seen; woken, 0 seen', $this->replaced(true));
    }

    public function testOneThatIsLoadedAfterwardsGoesOnToThis(): void
    {
        self::assertSame('slept, 1 seen; woken, 1 seen', $this->replaced(false));
    }

    /** What the script says where the other extension is loaded before, or after this one. */
    private function replaced(bool $before): string
    {
        $cli = $this->commandLine();
        $extensions = [$this->build($cli), Php::extension()];
        $settings = ['sse.adopt=1', 'sse.adopt_topics="*=**"', "sse.socket={$cli->socket()}", 'sse.udp=', 'sse.idle_exit=5'];
        foreach ($before ? $extensions : array_reverse($extensions) as $extension) {
            $settings[] = "extension=$extension";
        }
        $command = [Php::cli(), '-n'];
        foreach ($settings as $setting) {
            array_push($command, '-d', $setting);
        }
        $folder = $cli->folder->path;
        $script = new Process([...$command, "$folder/cli/replaced-usleep.php"], "$folder/log/out", [], $folder, 'replaced');
        self::assertSame(0, $script->awaitExit(), $script->output());

        // Its last line; what comes before is the stream.
        return trim((string) strrchr("\n" . trim($script->output()), "\n"));
    }

    private function build(CommandLine $cli): string
    {
        $file = "{$cli->folder->path}/replace.so";
        $includes = trim((string) shell_exec('php-config --includes'));
        $command = ['cc', '-shared', '-fPIC', '-DCOMPILE_DL_REPLACE', ...explode(' ', $includes), '-o', $file,
            __DIR__ . '/replace/replace.c'];
        exec(implode(' ', array_map('escapeshellarg', $command)) . ' 2>&1', $output, $code);
        self::assertSame(0, $code, implode("\n", $output));

        return $file;
    }
}
