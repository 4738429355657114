<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use Links;
use Names;
use PHPUnit\Framework\TestCase;
use Settings;
use Statistics;
use Steps;
use Tests;

/** What tools/docs finds wrong in the manual. */
final class ManualTest extends TestCase
{
    private string $folder;

    public static function setUpBeforeClass(): void
    {
        foreach (['Links', 'Names', 'Settings', 'Statistics', 'Steps', 'Tests'] as $class) {
            require_once dirname(__DIR__, 3) . "/tools/manual/$class.php";
        }
    }

    protected function setUp(): void
    {
        $this->folder = (string) getcwd();
        chdir(dirname(__DIR__, 3));
    }

    protected function tearDown(): void
    {
        chdir($this->folder);
    }

    public function testALinkLeadsToAFileAndAHeading(): void
    {
        $good = "[a](docs/README.md#words) [b](https://example.org/) [c](#here-it-is)\n\n## Here: it *is*\n\n```\n[d](nowhere.md)\n```\n";
        self::assertSame([], Links::broken(['README.md' => $good]));
        self::assertSame(
            [
                'docs/x.md:1: (README.md#wrods) there is no such heading',
                'docs/x.md:3: (docs/README.md) there is no such file',
            ],
            Links::broken(['docs/x.md' => "[a](README.md#wrods)\n\n[b](docs/README.md)\n"]),
        );
    }

    public function testANameIsThatOfASettingAFunctionOrAMetric(): void
    {
        $unknown = static fn (string $text): array => Names::unknown(
            ['x.md' => $text],
            ['sse.retry'],
            ['sse_streams_open'],
            "function sse_publish(): string {}\n",
        );
        self::assertSame([], $unknown("`config('sse.prefix')`"));
        self::assertSame([], $unknown('`sse.retry` `sse_publish()` `sse_streams_open` sse.so /var/lib/sse.db js/sse.js'));
        self::assertSame(
            ["x.md: there is no setting, function or metric 'sse.rety'", "x.md: there is no setting, function or metric 'sse_push'"],
            $unknown('`sse.rety` `sse_push()`'),
        );
    }

    public function testATestThatAPageNamesIsThere(): void
    {
        $good = '`ManualTest::testATestThatAPageNamesIsThere` `trigger.phpt` `a_full_hub_has_room_again_when_a_stream_ends`';
        self::assertSame([], Tests::missing('x.md', "$good `sse.stall_timeout` `hub/src/connection/rights.rs`"));
        self::assertSame(
            [
                "x.md: there is no test 'ManualTest::testNone'",
                "x.md: there is no test 'none.phpt'",
                "x.md: there is no test 'a_test_that_is_not_there'",
            ],
            Tests::missing('x.md', '`ManualTest::testNone` `none.phpt` `a_test_that_is_not_there`'),
        );
    }

    public function testAFileAndAFunctionThatAStepNamesAreThere(): void
    {
        $good = "1. `hub/src/broker/publish.rs` `publish`, `deliver`: gives the id.\n   Then `hub/src/store/mod.rs` `Store` decides.\n"
            . "\n| `hub/src/` | the hub |\n| `stubs/sse.stub.php` `sse_publish` or `hub/src/run.rs` | |\n";
        self::assertSame([], Steps::missing('x.md', "$good\nOutside of lists: `none.rs` `hub/none.rs` `none`\n"));
        self::assertSame(
            [
                "x.md: 'hub/src/broker/publish.rs' has no 'unpublish'",
                "x.md: 'hub/src/store/mod.rs' has no 'deliver'",
                "x.md: there is no 'hub/none.rs'",
                "x.md: 'hub/src/store/mod.rs' has no 'Keeper'",
                "x.md: there is no 'hub/none/'",
            ],
            Steps::missing(
                'x.md',
                "1. `hub/src/broker/publish.rs` `publish`, `unpublish`\n   and `hub/src/store/mod.rs`\n   `deliver`\n"
                    . "2. `hub/none.rs` `run`\n\n| a | `hub/src/store/mod.rs` `start` and `Keeper` |\n| `hub/none/` | |\n",
            ),
        );
        self::assertSame(
            ['x.md: no numbered list or table names a function and its file'],
            Steps::missing('x.md', "1. `hub/src/broker/publish.rs`: gives the id\n"),
        );
    }

    public function testTheTypeOfTheStatisticsIsTakenApartAsFarAsTheTableIs(): void
    {
        $type = 'array{pid: int, problem?: string|null, streams: array{open: int, closed: array<string, int>}, '
            . 'each: list<array{pid: int|null, streams: int}>, seconds: array{sum: float, buckets: array<string, int>}, ...}';

        self::assertSame(
            ['/pid', '/problem', '/streams/open', '/streams/closed', '/each', '/seconds'],
            Statistics::typed($type, '', ['/seconds']),
        );
    }

    public function testASettingSaysWhatItMeans(): void
    {
        $file = (string) tempnam(sys_get_temp_dir(), 'sse-settings-');
        $table = "static SETTINGS: IniEntryDefs<2> = IniEntryDefs::new([\n%s"
            . "    setting(c\"sse.x\", c\"1\", ALL),\n    IniEntryDef::end(),\n";
        file_put_contents($file, sprintf($table, "    // # Group\n    // What it\n    // means.\n"));
        self::assertStringContainsString('| `sse.x` | `1` | anywhere | What it means. |', Settings::read($file)->page());
        file_put_contents($file, sprintf($table, ''));
        try {
            $this->expectExceptionMessage('the setting sse.x needs a comment above it');
            Settings::read($file);
        } finally {
            unlink($file);
        }
    }
}
