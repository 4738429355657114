<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Server;

/** The loops of tutorials (app/adopt/loops.php): with sse.adopt the client gets the bytes that it gets without, but for comments. */
final class AdoptBytesTest extends ServerTestCase
{
    private const LOOPS = '/adopt/loops.php';

    /** @return iterable<string, array{string, int}> */
    public static function servers(): iterable
    {
        foreach (['nginx-fpm-unix', 'php-s'] as $server) {
            foreach ([0, 4096] as $buffer) {
                yield "$server, output_buffering=$buffer" => [$server, $buffer];
            }
        }
    }

    /** @dataProvider servers */
    public function testALoopSaysTheSameWithAdoption(string $name, int $buffer): void
    {
        // What PHP itself says, as on a flush without a buffer, is compared as well.
        $ini = ['output_buffering' => $buffer, 'display_errors' => 1, 'html_errors' => 0, 'sse.heartbeat' => 1];
        $with = $this->serve($name, ['sse.adopt' => 1, 'sse.adopt_topics' => '*=**'] + $ini);
        $without = $this->serve($name, ['sse.adopt' => 0] + $ini);
        $loops = $with->json(self::LOOPS);
        self::assertGreaterThan(30, count($loops));

        $different = $comments = [];
        foreach ($loops as $loop) {
            [$theirs, $none] = $this->said($without, $loop);
            [$ours, $count] = $this->said($with, $loop);
            self::assertSame(0, $none, "without adoption nothing adds comments to '$loop'");
            if ($ours !== $theirs) {
                $different[$loop] = ['with' => $ours, 'without' => $theirs];
            }
            if ($count > 0) {
                $comments[] = $loop;
            }
        }

        self::assertSame([], $different);
        // These were adopted: the heartbeats have come, and only where they may.
        self::assertSame(['a long sleep between events', 'a long sleep between two lines'], $comments);
    }

    /** @return array{array{int, string, string}, int} the status, the type and the body, and how many comments were in it */
    private function said(Server $server, string $loop): array
    {
        $stream = $server->client->open(self::LOOPS . '?loop=' . rawurlencode($loop), [
            'Accept-Encoding' => 'gzip',
            'Last-Event-ID' => '7',
            'Cookie' => 'PHPSESSID=0123456789abcdef0123456789',
        ]);
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 20.0, "'$loop' has ended");
        $body = str_replace($server->folder->path, '', $stream->response->body);
        $body = preg_replace('/^:\n/m', '', $body, -1, $count);

        return [[$stream->response->status, $stream->response->headers['content-type'] ?? '', $body], $count];
    }
}
