<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PHPUnit\Framework\TestCase;

/** What `tools/test` counts, out of the logs of the runners: a skipped test is no passed one, and needs a reason on the list. */
final class TestResultsTest extends TestCase
{
    private const CARGO = <<<'LOG'
             Running unittests src/lib.rs (target/debug/deps/sse_hub-0000)
        test topic::names ... ok
        test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
             Running tests/hub/main.rs (target/debug/deps/hub-0000)
        test support::hub_process ... ignored, not a test: the process of a hub that the tests start
        test disk::later ... ignored, it is slow

        SKIPPED: bus::valkey_works: valkey: there is no valkey-server on this system
        test bus::valkey_works ... ok

        SKIPPED: disk::servers_run: nginx: nginx is not installed
        test disk::servers_run ... ok
        test disk::a_full_disk_is_told ... FAILED
        test disk::hangs has been running for over 60 seconds
        ---- disk::a_full_disk_is_told stdout ----

        thread 'disk::a_full_disk_is_told' (1) panicked at hub/tests/hub/disk.rs:10:5:
        it is full
        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

        failures:
            disk::a_full_disk_is_told

        test result: FAILED. 2 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s
        LOG;
    private const PHPT = <<<"LOG"
        TEST 1/5 [tests/phpt/a.phpt]\e[1;32mPASS\e[0m one [tests/phpt/a.phpt]
        TEST 2/5 [tests/phpt/b.phpt]
        ========DIFF========
        001+ 2
        001- 1
        ========DONE========
        FAIL two [x] [tests/phpt/b.phpt]
        SKIP three [tests/phpt/c.phpt] reason: pcntl: it is needed
        SKIP four [tests/phpt/d.phpt] reason: CGI not available
        TEST 5/5 [tests/phpt/e.phpt]
        LOG;
    private const TEAMCITY = <<<'LOG'
        ##teamcity[testStarted name='testA' locationHint='php_qn://x.php::\N\ATest::testA' flowId='1']
        ##teamcity[testFinished name='testA' duration='1' flowId='1']
        ##teamcity[testStarted name='testB' locationHint='php_qn://x.php::\N\ATest::testB' flowId='1']
        ##teamcity[testFailed name='testB' message='it|'s |[no|]' details=' x.php:3|n ' duration='0' flowId='1']
        ##teamcity[testFinished name='testB' duration='1' flowId='1']
        ##teamcity[testStarted name='testC' locationHint='php_qn://x.php::\N\ATest::testC' flowId='1']
        ##teamcity[testIgnored name='testC' message='root: only root can' details='' duration='0' flowId='1']
        ##teamcity[testFinished name='testC' duration='0' flowId='1']
        ##teamcity[testStarted name='testD' locationHint='php_qn://x.php::\N\ATest::testD' flowId='1']
        LOG;
    private const TAP = <<<'LOG'
        ok 1 - one
          ---
          duration_ms: 1
          ...
            not ok 1 - inner
              ---
              error: 'because'
              ...
        not ok 2 - group
          ---
          type: 'suite'
          failureType: 'subtestsFailed'
          error: '1 subtest failed'
          ...
        ok 3 - three # SKIP no browser
          ---
          ...
        # Subtest: a group
        ok 4 - a group # SKIP firefox: it is not installed
          ---
          duration_ms: 0.1
          type: 'suite'
          ...
        # Subtest: another
        ok 5 - another # SKIP
          ---
          duration_ms: 0.1
          type: 'suite'
          ...
        # Subtest: a group with a server
            # Subtest: four
            ok 1 - four
              ---
              ...
        not ok 6 - a group with a server
          ---
          type: 'suite'
          failureType: 'hookFailed'
          error: 'it does not stop'
          ...
        LOG;
    private const SOAK = <<<'LOG'
        --- memory: SEED=1 SCENARIO=memory SECONDS_EACH=18 make soak
        --- sqlite: SEED=1 SCENARIO=sqlite SECONDS_EACH=18 make soak
        SKIPPED: sqlite: mount: the disk is not filled
        FAILED: 1 violations
          1.0 lost: a-1
        --- bus: SEED=1 SCENARIO=bus SECONDS_EACH=18 make soak
        LOG;

    /** @return array<string, array{string, string, string}> */
    public static function logs(): array
    {
        $unlisted = 'it was skipped for what is not in tests/optional:';

        return [
            'cargo' => ['cargo', self::CARGO, "passed\t1\n"
                . "failed\thub disk::later\t$unlisted it is slow\n"
                . "failed\thub disk::servers_run\t$unlisted nginx: nginx is not installed\n"
                . "failed\thub disk::a_full_disk_is_told\thub/tests/hub/disk.rs:10:5: it is full\n"
                . "failed\thub disk::hangs\tit had not ended\n"
                . "skipped\thub bus::valkey_works\tvalkey: there is no valkey-server on this system\n"],
            'phpt' => ['phpt', self::PHPT, "passed\t1\n"
                . "failed\ttests/phpt/b.phpt\tFAIL 001+ 2 | 001- 1\n"
                . "failed\ttests/phpt/d.phpt\t$unlisted CGI not available\n"
                . "failed\ttests/phpt/e.phpt\tit had not ended\n"
                . "skipped\ttests/phpt/c.phpt\tpcntl: it is needed\n"],
            'phpunit' => ['phpunit', self::TEAMCITY, "passed\t1\n"
                . "failed\tN\\ATest::testB\tit's [no] x.php:3\n"
                . "failed\tN\\ATest::testD\tit had not ended\n"
                . "skipped\tN\\ATest::testC\troot: only root can\n"],
            'tap' => ['tap', self::TAP, "passed\t2\n"
                . "failed\tinner\t'because'\n"
                . "failed\tthree\t$unlisted no browser\n"
                . "failed\tanother\t$unlisted\n"
                . "failed\ta group with a server\t'it does not stop'\n"
                . "skipped\ta group\tfirefox: it is not installed\n"],
            'soak' => ['soak', self::SOAK, "passed\t0\n"
                . "failed\tsqlite\t1 violations 1.0 lost: a-1\n"
                . "failed\tbus\tit had not ended\n"
                . "skipped\tsqlite\tmount: the disk is not filled\n"],
        ];
    }

    /** @dataProvider logs */
    public function testLogsTellWhatPassedFailedAndWasSkipped(string $runner, string $log, string $results): void
    {
        $file = tempnam(sys_get_temp_dir(), 'sse-log-');
        file_put_contents($file, "$log\n");
        exec(implode(' ', array_map('escapeshellarg', [PHP_BINARY, dirname(__DIR__, 3) . '/tools/results', $runner, $file])), $lines);
        unlink($file);

        self::assertSame($results, implode("\n", $lines) . "\n");
    }
}
