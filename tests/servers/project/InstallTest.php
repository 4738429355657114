<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\OtherPhp;
use PhpSse\Tests\Server\Php;
use PhpSse\Tests\Server\Process;
use PhpSse\Tests\Server\TempFolder;
use PHPUnit\Framework\TestCase;

/** What `make install` and `make uninstall` leave on a machine: for which PHP, staged as a packager does, and beside others. */
final class InstallTest extends TestCase
{
    private TempFolder $folder;

    protected function setUp(): void
    {
        $this->folder = new TempFolder();
    }

    protected function tearDown(): void
    {
        $this->folder->remove();
    }

    public function testTheExtensionItsSettingsAndTheStubsAreStaged(): void
    {
        $root = dirname(__DIR__, 3);
        $output = $this->install([Php::extension()], ['DESTDIR' => $this->folder->path . '/staged']);
        $staged = array_filter(explode("\n", $output), 'is_file');
        $by = array_combine(array_map('basename', $staged), $staged);

        self::assertEqualsCanonicalizing(['sse.so', 'sse.ini', 'sse.stub.php'], array_keys($by));
        self::assertFileEquals(Php::extension(), $by['sse.so']);
        self::assertFileEquals("$root/stubs/sse.stub.php", $by['sse.stub.php']);
        self::assertStringEndsWith('/share/php-sse/sse.stub.php', $by['sse.stub.php']);
    }

    /** @return array<string, array{'program'|'config', string}> */
    public static function namedBy(): array
    {
        return ['by its program' => ['program', 'PHP'], 'by its php-config' => ['config', 'PHP_CONFIG']];
    }

    /**
     * @dataProvider namedBy
     *
     * @param 'program'|'config' $which
     */
    public function testOnlyTheNamedPhpGetsIt(string $which, string $variable): void
    {
        $named = new OtherPhp($this->folder, 'named');
        $other = new OtherPhp($this->folder, 'other');

        $this->install([Php::extension()], [$variable => $named->{$which}]);

        self::assertTrue($named->loads());
        self::assertFileEquals(Php::extension(), "$named->extensions/sse.so");
        self::assertFalse($other->loads());
        self::assertSame([], glob("$other->extensions/*"));
    }

    public function testOneIsRemovedAndTheOtherStays(): void
    {
        $first = new OtherPhp($this->folder, 'first');
        $second = new OtherPhp($this->folder, 'second');
        foreach ([$first, $second] as $php) {
            $this->install([Php::extension()], ['PHP' => $php->program]);
        }

        $this->install(['--remove'], ['PHP' => $first->program]);

        self::assertFalse($first->loads());
        self::assertSame([], glob("$first->settings/*"));
        self::assertFileDoesNotExist("{$this->folder->path}/first/share/php-sse");
        self::assertTrue($second->loads());
    }

    public function testTheSitesOwnSettingsOutliveARemoval(): void
    {
        $php = new OtherPhp($this->folder, 'php');
        $this->install([Php::extension()], ['PHP' => $php->program]);
        $own = "extension=sse.so\nsse.timeout=7\n";
        file_put_contents("$php->settings/sse.ini", $own);

        $this->install([Php::extension()], ['PHP' => $php->program]);
        self::assertStringEqualsFile("$php->settings/sse.ini", $own);

        $this->install(['--remove'], ['PHP' => $php->program]);
        self::assertFalse($php->loads());
        $this->install([Php::extension()], ['PHP' => $php->program]);
        self::assertTrue($php->loads());
        self::assertStringEqualsFile("$php->settings/sse.ini", $own);
    }

    public function testOneForAnotherPhpIsNotInstalled(): void
    {
        $php = new OtherPhp($this->folder, 'php');
        $built = (string) file_get_contents(Php::extension());
        $forAnother = $this->folder->file('sse.so', str_replace('API' . basename(PHP_EXTENSION_DIR), 'API20000101', $built));

        $output = $this->install([$forAnother], ['PHP' => $php->program], 1);

        self::assertStringContainsString('build ID', $output);
        self::assertStringContainsString("does not load $forAnother, so nothing was installed", $output);
        self::assertSame([], glob("$php->extensions/*"));
        self::assertSame([], glob("$php->settings/*"));
    }

    public function testProgramsOfTwoPhpsAreRefused(): void
    {
        $php = new OtherPhp($this->folder, 'php');
        $config = str_replace('echo ' . $php->extensions, 'echo /usr/lib/php/20000101', (string) file_get_contents($php->config));
        $other = $this->folder->file('php-config-of-another', $config, 0755);

        $output = $this->install([Php::extension()], ['PHP' => $php->program, 'PHP_CONFIG' => $other], 1);

        self::assertStringContainsString('is of another PHP', $output);
        self::assertSame([], glob("$php->extensions/*"));
    }

    /** Debian's own list, of what a SAPI has that is installed later, and no note that somebody does not want the extension. */
    public function testOnDebianALaterServerHasItAndARemovalLeavesNoTrace(): void
    {
        $version = PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;
        exec('unshare --mount true 2>&1', $output, $code);
        if ($code !== 0) {
            self::markTestSkipped('mount: the folders of Debian\'s PHP are not replaced');
        }
        $prefix = $this->folder->folder('prefix');
        $config = $this->folder->file('php-config', <<<SH
            #!/bin/bash
            if [ "$1" = --prefix ]; then echo $prefix; else exec php-config "$@"; fi
            SH, 0755);
        $install = escapeshellarg(dirname(__DIR__, 3) . '/tools/install');
        $extension = escapeshellarg(Php::extension());
        // Copies in place of this machine's folders, for this script only.
        $script = $this->folder->file('debian', <<<SH
            set -euo pipefail
            for folder in /etc/php /var/lib/php/modules "$(php-config --extension-dir)"; do
                mkdir -p "$prefix/copy$(dirname "\$folder")"
                cp -a "\$folder" "$prefix/copy\$folder"
                mount --bind "$prefix/copy\$folder" "\$folder"
            done
            export PHP_CONFIG=$config PATH="\$PATH:/usr/sbin"
            $install $extension
            echo "registered: $(phpquery -M -v $version | grep -x sse)"
            $install --remove
            echo "left: $(find /etc/php/$version /var/lib/php/modules/$version -name '*sse*' ! -name 'sse.ini.removed')"
            SH);
        $run = new Process(
            ['unshare', '--mount', 'bash', $script],
            $this->folder->path . '/debian.out',
            [],
            $this->folder->path,
        );

        self::assertSame(0, $run->awaitExit(30.0), $run->output());
        self::assertStringContainsString("registered: sse\n", $run->output());
        self::assertStringContainsString("left: \n", $run->output());
    }

    /**
     * Runs tools/install, and returns what it prints.
     *
     * @param list<string> $arguments
     * @param array<string, string> $environment
     */
    private function install(array $arguments, array $environment, int $code = 0): string
    {
        $log = $this->folder->path . '/install-' . bin2hex(random_bytes(3));
        $install = new Process(
            [dirname(__DIR__, 3) . '/tools/install', ...$arguments],
            $log,
            $environment + ['PATH' => (string) getenv('PATH')],
            $this->folder->path,
            'tools/install',
        );
        self::assertSame($code, $install->awaitExit(30.0), $install->output());

        return $install->output();
    }
}
