<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\TempFolder;
use PHPUnit\Framework\TestCase;

/** Types of one name are found wherever they stand, and nothing else is taken for a type. */
final class NamesTest extends TestCase
{
    /** @return array<string, array{string, bool}> a file beside one with `pub struct Limits`, and whether its name is another */
    public static function files(): array
    {
        return [
            'a struct' => ['struct Limits;', false],
            'an enum with a parameter' => ["pub(crate) enum Limits<'a> {\n    One(&'a str),\n}", false],
            'a trait' => ['pub(in crate::a) unsafe trait Limits {}', false],
            'a union' => ["#[repr(C)]\nunion Limits {\n    a: u8,\n}", false],
            'an alias' => ['pub type Limits = (u32, u32);', false],
            'in unit tests' => ["mod tests {\n    struct Limits(u32);\n}", false],
            'a longer name' => ['pub struct LimitsOfRenders;', true],
            'an associated type' => ["impl Deref for Settings {\n    type Limits = u32;\n}", true],
            'a comment' => ["// struct Limits;\n/// enum Limits", true],
            'its use' => ["use crate::first::Limits;\nimpl Limits {}\npub enum Setting {\n    Limits(Limits),\n}", true],
        ];
    }

    /** @dataProvider files */
    public function testANameIsOneType(string $code, bool $differs): void
    {
        $folder = new TempFolder();
        try {
            mkdir("$folder->path/deeper");
            file_put_contents("$folder->path/first.rs", "/// All of them.\npub struct Limits {\n    a: u32,\n}\n");
            file_put_contents("$folder->path/deeper/second.rs", "//! Others.\n\n$code\n");
            [$lines, $status] = $this->names($folder->path);
        } finally {
            $folder->remove();
        }

        self::assertSame($differs ? 0 : 1, $status, implode("\n", $lines));
        self::assertSame($differs, $lines === []);
        $differs || self::assertMatchesRegularExpression(
            '~^Limits is 2 types: \S+/deeper/second\.rs:[345], \S+/first\.rs:2$~',
            $lines[0],
        );
    }

    public function testAFolderWithoutTypesIsAnError(): void
    {
        $folder = new TempFolder();
        try {
            [$lines, $status] = $this->names($folder->path);
            self::assertSame([2, "tools/names: no type in $folder->path; it takes folders with Rust files"], [$status, $lines[0]]);
            [$lines, $status] = $this->names("$folder->path/none");
            self::assertSame([2, "tools/names: there is no folder $folder->path/none"], [$status, $lines[0]]);
        } finally {
            $folder->remove();
        }
    }

    /** @return array{list<string>, int} what the program prints, and its status */
    private function names(string $folder): array
    {
        $program = dirname(__DIR__, 3) . '/tools/names';
        exec(implode(' ', array_map('escapeshellarg', [PHP_BINARY, $program, $folder])) . ' 2>&1', $lines, $status);

        return [$lines, $status];
    }
}
