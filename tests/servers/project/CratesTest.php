<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PHPUnit\Framework\TestCase;

/** Crates that sse.so could not be given away with under its own licence, or that nobody can look up, are found. */
final class CratesTest extends TestCase
{
    private const CRATES_IO = 'registry+https://github.com/rust-lang/crates.io-index';

    /** @return array<string, array{?string, ?string, bool}> licence, source, whether it may be used */
    public static function crates(): array
    {
        return [
            'one that asks for a notice' => ['MIT', self::CRATES_IO, true],
            'of this workspace' => ['MIT', null, true],
            'a choice, one way of it' => ['LGPL-2.1-or-later OR MIT', self::CRATES_IO, true],
            'a choice with a slash' => ['GPL-3.0/Apache-2.0', self::CRATES_IO, true],
            'two that both hold' => ['(MIT OR GPL-3.0) AND Unicode-3.0', self::CRATES_IO, true],
            'with an exception' => ['Apache-2.0 WITH LLVM-exception', self::CRATES_IO, true],
            'the source has to be given' => ['GPL-3.0-only', self::CRATES_IO, false],
            'one of two that both hold' => ['MIT AND MPL-2.0', self::CRATES_IO, false],
            'no way of a choice' => ['(GPL-2.0 OR AGPL-3.0) AND MIT', self::CRATES_IO, false],
            'none' => [null, self::CRATES_IO, false],
            'from a repository' => ['MIT', 'git+https://example.org/crate', false],
        ];
    }

    /** @dataProvider crates */
    public function testACrateMayBeUsedOrIsNamed(?string $licence, ?string $source, bool $allowed): void
    {
        $file = tempnam(sys_get_temp_dir(), 'sse-crates-');
        $package = ['name' => 'some-crate', 'version' => '1.2.3', 'license' => $licence, 'source' => $source];
        file_put_contents($file, json_encode(['packages' => [$package]]));
        [$code, $lines] = self::crate($file);
        unlink($file);

        self::assertSame($allowed ? 0 : 1, $code);
        self::assertSame($allowed, $lines === []);
        $allowed || self::assertStringContainsString('some-crate 1.2.3: ', $lines[0]);
    }

    /** What a crate asks to be passed on with sse.so is passed on, and nothing of what only builds or tests it. */
    public function testTheNoticesAreThoseOfWhatIsLinked(): void
    {
        $folder = sys_get_temp_dir() . '/sse-notices-' . bin2hex(random_bytes(6));
        $crates = [
            'php-sse' => ['MIT', ['of-this-project' => null, 'builds' => 'build', 'tests' => 'dev', 'a-macro' => null], []],
            'of-this-project' => ['MIT', ['one' => null, 'two' => null], []],
            'one' => ['MIT OR Apache-2.0', [], ['LICENSE-MIT' => 'MIT of one', 'LICENSE-APACHE' => 'Apache of one', 'NOTICE' => 'by one']],
            'two' => ['ISC', [], ['LICENSE' => 'ISC of two']],
            'builds' => ['MIT', [], ['LICENSE' => 'of builds']],
            'tests' => ['MIT', [], ['LICENSE' => 'of tests']],
            'a-macro' => ['MIT', [], ['LICENSE' => 'of a macro']],
        ];
        $metadata = ['packages' => [], 'resolve' => ['nodes' => []]];
        foreach ($crates as $name => [$licence, $dependencies, $files]) {
            mkdir("$folder/$name", recursive: true);
            foreach ($files as $file => $text) {
                file_put_contents("$folder/$name/$file", $text);
            }
            $metadata['packages'][] = ['id' => $name, 'name' => $name, 'version' => '1.2.3', 'license' => $licence,
                'source' => in_array($name, ['php-sse', 'of-this-project'], true) ? null : self::CRATES_IO, 'repository' => null,
                'manifest_path' => "$folder/$name/Cargo.toml", 'targets' => [['kind' => [$name === 'a-macro' ? 'proc-macro' : 'lib']]]];
            $metadata['resolve']['nodes'][] = ['id' => $name, 'deps' => array_map(static fn (string $dependency, ?string $kind): array
                => ['pkg' => $dependency, 'dep_kinds' => [['kind' => $kind]]], array_keys($dependencies), $dependencies)];
        }
        file_put_contents("$folder/metadata", json_encode($metadata));
        [$code, $lines] = self::crate('--notices', "$folder/metadata");

        self::assertSame(0, $code);
        $notices = implode("\n", $lines);
        self::assertStringContainsString("one 1.2.3 (MIT OR Apache-2.0)\n\nMIT of one\n", $notices);
        self::assertStringContainsString("one 1.2.3 (MIT OR Apache-2.0)\n\nby one\n", $notices);
        self::assertStringContainsString("two 1.2.3 (ISC)\n\nISC of two", $notices);
        foreach (['Apache of one', 'of builds', 'of tests', 'of a macro', 'of-this-project'] as $other) {
            self::assertStringNotContainsString($other, $notices);
        }

        unlink("$folder/two/LICENSE");
        [$code, $lines] = self::crate('--notices', "$folder/metadata");
        self::assertSame(1, $code);
        self::assertSame(["tools/crates: two 1.2.3: it has no text of its licence, 'ISC'"], $lines);
        exec('rm -rf ' . escapeshellarg($folder));
    }

    /** @return array{int, list<string>} */
    private static function crate(string ...$arguments): array
    {
        $command = implode(' ', array_map('escapeshellarg', [PHP_BINARY, dirname(__DIR__, 3) . '/tools/crates', ...$arguments]));
        exec("$command 2>&1", $lines, $code);

        return [$code, $lines];
    }
}
