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
}
