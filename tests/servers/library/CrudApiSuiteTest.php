<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** PHP-CRUD-API's own test suite, on SQLite, with the bridge on: it answers as it did. */
final class CrudApiSuiteTest extends CrudApiTestCase
{
    private const CONFIG = '$config = new Config($settings);';

    public function testItsOwnSuiteHasTheSameResultWithTheBridgeOn(): void
    {
        $path = self::crudApi();
        if (!is_file("$path/test.php")) {
            self::markTestSkipped("php-crud-api: there is no test.php in $path");
        }
        $commandLine = $this->commandLine(['sse.spawn' => 'auto']);
        $folder = $commandLine->folder;
        foreach (['api.include.php', 'test.php', 'tests'] as $file) {
            $folder->copy("$path/$file", $file);
        }
        $folder->copy(dirname(__DIR__, 3) . '/php/src', 'library');
        $test = (string) file_get_contents("$path/test.php");
        self::assertSame(1, substr_count($test, self::CONFIG), 'the line of test.php that the bridge goes into');
        $loader = 'spl_autoload_register(static function (string $class): void {'
            . ' $file = __DIR__ . "/library/" . strtr(substr($class, 4), "\\\\", "/") . ".php";'
            . ' if (str_starts_with($class, "Sse\\\\") && is_file($file)) { require $file; } });';
        $plain = $folder->file('plain.php', self::onSqlite($test, $folder->path, 'plain'));
        $live = $folder->file('live.php', str_replace(
            self::CONFIG,
            $loader . ' $config = new Config(\Sse\CrudApi::live($settings));',
            self::onSqlite($test, $folder->path, 'live'),
        ));

        $without = $this->outputOf($plain);
        $commandLine->startHub();
        $subscriber = $commandLine->subscribe(['records.**']);
        $with = $this->outputOf($live, $commandLine->socket());

        self::assertSame(1, preg_match('/sqlite: (\d+) tests ran/', $with, $count), $with);
        self::assertGreaterThan(80, (int) $count[1]);
        self::assertSame(self::withoutTimes($without), self::withoutTimes($with));
        self::assertStringContainsString(' 0 failed', $with);
        // It was on: the suite's first write.
        self::assertStringContainsString('"topic":"records.posts.', $subscriber->output());
    }

    private static function onSqlite(string $test, string $folder, string $name): string
    {
        // The suite's own settings take the database's name from a handler, and SQLite's file from `address`.
        return str_replace(
            'include sprintf("$dir/config/%s.php", $driver);',
            "include sprintf(\"\$dir/config/%s.php\", \$driver);\n\$settings['address'] = '$folder/$name.db';"
                . "\$settings['cacheType'] = 'NoCache';",
            str_replace("run(['mysql', 'pgsql', 'sqlsrv', 'sqlite']", "run(['sqlite']", $test),
        );
    }

    private function outputOf(string $script, ?string $socket = null): string
    {
        $command = [
            PHP_BINARY,
            '-d', 'display_errors=stderr',
            ...($socket === null ? [] : ['-d', 'extension=' . Server\Php::extension(), '-d', "sse.socket=$socket"]),
            $script,
        ];
        $process = proc_open($command, [1 => ['pipe', 'w'], 2 => ['redirect', 1]], $pipes, dirname($script));
        self::assertIsResource($process);
        $output = (string) stream_get_contents($pipes[1]);
        proc_close($process);

        return $output;
    }

    private static function withoutTimes(string $output): string
    {
        return (string) preg_replace('/in \d+ ms/', '', $output);
    }
}
