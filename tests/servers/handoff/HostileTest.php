<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\EventParser;
use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;
use PhpSse\Tests\Support\Proc;

/** Clients that mean no good cost a bounded amount, and nobody else notices. */
final class HostileTest extends ServerTestCase
{
    private const REQUEST = "GET /stream.php?topics=news HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each(['nginx-fpm-unix', 'apache-mod-php', 'php-s']);
    }

    /**
     * It would fill the hub's memory, or keep it from sending anything to others.
     *
     * @dataProvider servers
     */
    public function testAClientThatSendsWithoutEndHoldsUpNobody(string $name): void
    {
        $server = $this->serve($name);
        $quiet = $server->client->openOne('/stream.php?topics=news');
        $flooding = $this->connect($server, self::REQUEST);
        $server->awaitOpenStreams(2);
        $before = Proc::memory($server->hub());

        $junk = str_repeat('j', 65_536);
        for ($number = 1; $number <= 50; $number++) {
            for ($try = 0; $try < 20; $try++) {
                @fwrite($flooding, $junk);
            }
            $server->publish('news', "event $number");
            $server->client->awaitEvents($quiet, $number);
        }

        self::assertLessThan($before + (8 << 10), Proc::memory($server->hub()));
        $got = '';
        Deadline::until(
            static function () use ($flooding, &$got): bool {
                $got .= (string) @fread($flooding, 65_536);

                return str_contains($got, 'data: event 50');
            },
            10.0,
            'it gets its events all the same',
            static fn (): string => substr($got, -1000),
        );
        fclose($flooding);
        $server->awaitOpenStreams(1, 20.0);
    }

    /** @return array<string, array{string, string}> */
    public static function halves(): array
    {
        $halves = [
            'half a request line' => 'GET /stream.php?topics=ne',
            'half a head' => "GET /stream.php?topics=news HTTP/1.1\r\nHost: a\r\nCookie: a",
            'half a body' => "POST /stream.php?topics=news HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
        ];
        $sets = [];
        // Apache's prefork keeps a process for each: that is its own affair (mod_reqtimeout).
        foreach (['nginx-fpm-unix', 'php-s'] as $server) {
            foreach ($halves as $title => $half) {
                $sets["$server, $title"] = [$server, $half];
            }
        }

        return $sets;
    }

    /**
     * They would keep workers from others.
     *
     * @dataProvider halves
     */
    public function testClientsThatSendHalfARequestAndStayHoldUpNobody(string $name, string $half): void
    {
        $server = $this->serve($name);
        $halves = [];
        for ($i = 0; $i < 50; $i++) {
            $halves[] = $this->connect($server, $half);
        }

        $stream = $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'as always');

        self::assertSame(['as always'], $server->client->awaitEvents($stream, 1));
        self::assertSame(1, $server->openStreams());
        array_map(fclose(...), $halves);
    }

    /**
     * It would fill the hub's memory; it may have a poor connection, though, and then must not miss anything.
     *
     * @dataProvider servers
     */
    public function testAClientThatDoesNotReadIsClosedAndMakesUpForAllOfIt(string $name): void
    {
        $server = $this->serve($name, ['sse.stream_buffer' => 1_000_000]);
        $stuck = $this->connect($server, self::REQUEST);
        $server->awaitOpenStreams(1);
        $before = Proc::memory($server->hub());
        $sent = [];
        while ($server->openStreams() === 1 && count($sent) < 900) {
            $ids = $server->publish('news', str_repeat('x', 30_000), ['count' => 20, 'id' => 'n' . count($sent)]);
            $sent = [...$sent, ...$ids];
        }
        $server->awaitClosed('slow', 1);
        // The history, its events' second form, and one stream's buffer.
        self::assertLessThan($before + 2 * 30 * count($sent) + (8 << 10), Proc::memory($server->hub()));

        $response = new Response();
        $first = new EventParser();
        stream_set_blocking($stuck, true);
        stream_set_timeout($stuck, 20);
        while (($bytes = (string) @fread($stuck, 262_144)) !== '') {
            $first->feed($response->feed($bytes));
        }
        self::assertNotSame([], $first->events);
        self::assertLessThan(count($sent), count($first->events));
        $last = end($first->events)->id;
        $again = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $last]);
        $server->client->awaitEvents($again, count($sent) - count($first->events));

        self::assertSame($sent, array_column([...$first->events, ...$again->parser->events], 'id'));
    }

    /**
     * Each would stay in the hub's tables, or end a worker.
     *
     * @dataProvider servers
     */
    public function testThousandsThatAreResetAtOnceLeaveNothingBehind(string $name): void
    {
        $server = $this->serve($name, ['sse.max_streams_per_ip' => 1_000_000]);
        $server->client->openOne('/stream.php?topics=news')->close();
        $server->awaitOpenStreams(0, 20.0);
        $hub = $server->hub();
        $descriptors = count(scandir("/proc/$hub/fd"));

        for ($i = 0; $i < 2000; $i++) {
            $socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
            socket_set_option($socket, SOL_SOCKET, SO_LINGER, ['l_onoff' => 1, 'l_linger' => 0]);
            socket_connect($socket, '127.0.0.1', $server->port);
            socket_write($socket, self::REQUEST);
            // Some at once, some after the server has begun with them.
            if ($i % 4 === 0) {
                socket_set_option($socket, SOL_SOCKET, SO_RCVTIMEO, ['sec' => 5, 'usec' => 0]);
                @socket_read($socket, 1);
            }
            socket_close($socket);
        }

        Deadline::until(
            static fn (): bool => $server->openStreams() === 0 && $server->stats()['streams']['held'] === 0,
            60.0,
            'all have gone',
            static fn (): string => json_encode($server->stats()['streams'], JSON_THROW_ON_ERROR),
        );
        self::assertSame([0, 0], [$server->stats()['quota_keys'], $server->stats()['topics']]);
        // How many of those that were read from got so far is up to the machine.
        self::assertGreaterThan(0, $server->stats()['streams']['opened']);
        Deadline::until(
            static fn (): bool => count(scandir("/proc/$hub/fd")) <= $descriptors + 3,
            10.0,
            'their descriptors are closed',
            static fn (): string => count(scandir("/proc/$hub/fd")) . " of $descriptors",
        );
        $stream = $server->client->openOne('/stream.php?topics=news');
        $server->publish('news', 'as always');
        self::assertSame(['as always'], $server->client->awaitEvents($stream, 1));
        self::assertSame($hub, $server->hub());
    }

    /**
     * Searching for it, or keeping it, would cost more each time.
     *
     * @dataProvider servers
     */
    public function testAReaderThatResumesAgainAndAgainWithTheLongestIdGetsTheSameEachTime(string $name): void
    {
        $server = $this->serve($name);
        $ids = array_map(static fn (int $number): string => str_pad((string) $number, 255, 'i'), range(1, 5));
        foreach ($ids as $number => $id) {
            $server->publish('news', "event $number", ['id' => $id]);
        }
        $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $ids[1]])->close();
        $before = Proc::memory($server->hub());

        for ($i = 0; $i < 300; $i++) {
            $stream = $server->client->openOne('/stream.php?topics=news', ['Last-Event-ID' => $ids[1]]);
            self::assertSame(['event 2', 'event 3', 'event 4'], $server->client->awaitEvents($stream, 3));
            $stream->close();
        }

        self::assertSame([301, 0], [$server->stats()['history']['resumed'], $server->stats()['history']['gaps']]);
        self::assertLessThan($before + (4 << 10), Proc::memory($server->hub()));
    }

    /** @return resource */
    private function connect(Server $server, string $request)
    {
        $socket = stream_socket_client("tcp://127.0.0.1:{$server->port}", $code, $message, 10.0);
        self::assertIsResource($socket, (string) $message);
        fwrite($socket, $request);
        stream_set_blocking($socket, false);

        return $socket;
    }
}
