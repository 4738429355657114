<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Response;
use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** Nobody takes more streams than an address, or the user that the script names, may have. */
final class QuotaTest extends RenderTestCase
{
    private const USER = '/stream.php?topics=news&max_per_user=1&user=';
    private const RENDERED = '/replay/page.php?topics=rows&callback=count&max_per_user=1&user=';

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, ...Catalogue::BLOCKING]);
    }

    /** @dataProvider servers */
    public function testAStreamTooManyOfOneAddressIsAnswered429UntilThereIsRoom(string $name): void
    {
        $server = $this->serve($name, ['sse.max_streams_per_ip' => 1]);
        $stream = $server->client->openOne('/stream.php?topics=news');

        $this->assertRefused($server->client->request('/stream.php?topics=news'));

        $server->awaitLog('sse_stream returned false');
        $server->publish('news', 'still here');
        self::assertSame(['still here'], $server->client->awaitEvents($stream, 1));
        self::assertSame(1, $server->stats()['refused']['per_ip']);
        self::assertStringContainsString('127.0.0.1 has as many streams open as sse.max_streams_per_ip allows (1)', $server->logs());
        $stream->close();
        $server->awaitOpenStreams(0);
        $server->client->openOne('/stream.php?topics=news');
    }

    /** @dataProvider servers */
    public function testAStreamTooManyOfOneUserIsAnswered429(string $name): void
    {
        $server = $this->serve($name);
        $server->client->openOne(self::USER . 'alice');

        $this->assertRefused($server->client->request(self::USER . 'alice'));

        self::assertSame(1, $server->stats()['refused']['per_user']);
        $log = (string) file_get_contents("{$server->hubFolder}/hub.sock.log");
        self::assertStringContainsString('a user has as many streams open', $log);
        self::assertStringNotContainsString('alice', $log);
    }

    public function testOtherUsersAndThoseThatTheScriptDoesNotNameHaveTheirOwn(): void
    {
        $server = $this->serve('nginx-fpm-unix', ['sse.max_streams_per_user' => 1]);
        $server->client->openOne('/stream.php?topics=news&user=alice');
        $this->assertRefused($server->client->request('/stream.php?topics=news&user=alice'));

        $server->client->openOne('/stream.php?topics=news&user=bob');
        $server->client->openMany(3, '/stream.php?topics=news');
        $server->client->openOne('/stream.php?topics=news&user=alice&max_per_user=2');
    }

    /** @dataProvider servers */
    public function testARenderIsNotAnotherStreamOfItsUser(string $name): void
    {
        $server = $this->serve($name, ['sse.max_streams_per_ip' => 1]);
        $stream = $server->client->openOne(self::RENDERED . 'alice');
        $server->client->awaitEvents($stream, 1);

        foreach ([2, 3] as $count) {
            $this->trigger($server, 'rows');
            $server->client->awaitEvents($stream, $count);
        }
        $this->assertRefused($server->client->request(self::RENDERED . 'alice'));

        self::assertSame(1, $server->stats()['quota_keys'] - 1, 'an address and a user');
    }

    /** @dataProvider servers */
    public function testAUsersOldestStreamIsReplacedAndItsClientToldNotToComeBackAtOnce(string $name): void
    {
        $server = $this->serve($name);
        foreach ([self::USER, self::RENDERED] as $nth => $page) {
            $old = $server->client->openOne("{$page}alice&over_limit=replace");

            $new = $server->client->openOne("{$page}alice&over_limit=replace");

            $server->client->await($old, static fn (Stream $old): bool => $old->ended, 20.0, 'the old one ends');
            $last = end($old->parser->events);
            self::assertSame(['replaced', '{"retry":30000}'], $last === false ? null : [$last->name, $last->data], $old->summary());
            self::assertSame(30000, $old->parser->retry);
            self::assertFalse($new->ended);
            $replaced = static fn (): int => $server->stats()['streams']['closed']['replaced'];
            Deadline::until(static fn (): bool => $replaced() === $nth + 1, 10.0, 'it is counted');
            $new->close();
            $server->awaitOpenStreams(0);
        }
    }

    private function assertRefused(Response $response): void
    {
        self::assertSame(429, $response->status, $response->summary());
        self::assertMatchesRegularExpression('/^[1-9]\d*$/', $response->headers['retry-after'] ?? '(no Retry-After)');
        self::assertSame("You have too many streams open; close one, or try again later.\n", $response->body);
        self::assertStringContainsString('text/plain', $response->headers['content-type'] ?? '');
    }
}
