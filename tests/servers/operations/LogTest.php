<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** The hub's log, of real requests. */
final class LogTest extends ServerTestCase
{
    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(Catalogue::EACH_SAPI);
    }

    /**
     * The attack: a log is read by more people than the database; one cookie in it is somebody's session.
     *
     * @dataProvider servers
     */
    public function testNoLevelTellsWhatRequestsAndEventsCarry(string $name): void
    {
        $server = $this->serve($name, ['sse.log_level' => 'trace'], ['pm.max_children' => 2]);
        $fail = "{$server->folder->path}/fail";
        $headers = ['Cookie' => 'PHPSESSID=0secretsession1; a=secret-cookie', 'Authorization' => 'Bearer secret-header'];
        $path = '/secretive.php?token=secret-query&file=' . rawurlencode($fail);
        $stream = $server->client->openOne($path, $headers);
        $server->publish('changed', 'secret-data', ['event' => 'secret-name']);
        $server->client->awaitEvents($stream, 2);
        preg_match('/the stream is (\d+)/', $server->phpLog(), $number);
        touch($fail);
        $server->publish('changed', 'secret-data');
        $log = fn (): string => (string) file_get_contents("{$server->hubFolder}/hub.sock.log");
        Deadline::until(fn (): bool => str_contains($log(), 'a render failed'), 20.0, 'the failure is told', $log);
        $stream->close();
        $ended = "ended stream={$number[1]} why=\"client\"";
        Deadline::until(fn (): bool => str_contains($log(), $ended), 20.0, 'its end is told', $log);

        self::assertStringContainsString("attached stream={$number[1]} topics=1 script=", $log());
        self::assertStringNotContainsStringIgnoringCase('secret', preg_replace('~/secretive\.php~', '', $log()));
    }

    /** With the file that packaging/ has for it: no line is lost, none is doubled, and none comes into a packed file. */
    public function testLogrotateLosesNoLine(): void
    {
        $programs = $this->commandLine(['sse.log_level' => 'debug', 'sse.log_format' => 'json']);
        $folder = $programs->hubFolder;
        $log = "$folder/hub.sock.log";
        $user = posix_getpwuid(posix_geteuid())['name'] . ' ' . posix_getgrgid(posix_getegid())['name'];
        $rules = (string) file_get_contents(dirname(__DIR__, 3) . '/packaging/logrotate');
        $rules = strtr($rules, ['/var/log/php-sse/*.log' => $log, 'www-data www-data' => $user]);
        file_put_contents("$folder/logrotate.conf", $rules);
        chmod("$folder/logrotate.conf", 0644);
        $publish = 'foreach (range($argv[1], $argv[1] + 9) as $i) { sse_publish("a", "x", id: "event-$i"); } echo "done";';
        $next = 0;
        for ($rotation = 0; $rotation < 3; $rotation++) {
            // Until the hub has noticed, lines go to the file before.
            Deadline::until(function () use ($programs, $publish, $log, &$next): bool {
                self::assertSame('done', $programs->run($publish, [(string) $next]));
                $next += 10;
                clearstatcache();

                return is_file($log);
            }, 30.0, 'the hub writes to a new file');
            exec('logrotate --force --state ' . escapeshellarg("$folder/state") . ' '
                . escapeshellarg("$folder/logrotate.conf") . ' 2>&1', $output, $code);
            self::assertSame([0, []], [$code, $output]);
        }

        $published = [];
        foreach (["$log.3.gz", "$log.2.gz", "$log.1"] as $file) {
            self::assertFileExists($file);
            foreach (gzfile($file) as $line) {
                $line = json_decode($line, true, 4, JSON_THROW_ON_ERROR);
                if ($line['message'] === 'published') {
                    $published[] = $line['id'];
                }
            }
        }
        self::assertSame(array_map(static fn (int $i): string => "event-$i", range(0, $next - 1)), $published);
    }
}
