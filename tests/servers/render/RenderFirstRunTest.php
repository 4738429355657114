<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** A first run that fails leaves an ordinary response behind, and no stream. */
final class RenderFirstRunTest extends RenderTestCase
{
    /** @return iterable<string, array{string, string, int, string, string}> */
    public static function failures(): iterable
    {
        $failures = [
            'throw' => [500, '', 'Uncaught RuntimeException: thrown by the callback'],
            'exit' => [200, 'left by exit', ''],
            'fatal' => [500, '', 'Call to undefined function no_such_function()'],
            'memory' => [500, '', 'Allowed memory size'],
            'nested' => [500, '', 'Uncaught SseException: sse_stream() can\'t be called by its own $render'],
            'handled' => [409, 'handled: for the handler', ''],
            'unsendable' => [500, '', 'Uncaught JsonException'],
        ];
        foreach ([...Catalogue::EACH_SAPI, 'apache-fcgi', 'caddy-fpm', ...Catalogue::BLOCKING] as $server) {
            foreach ($failures as $how => $expected) {
                yield "$server, $how" => [$server, $how, ...$expected];
            }
        }
    }

    /** @dataProvider failures */
    public function testTheResponseIsTheApplicationsOwn(
        string $name,
        string $how,
        int $status,
        string $body,
        string $log,
    ): void {
        $server = $this->serve($name);

        $response = $server->client->request("/replay/page.php?topics=news&callback=fails&how=$how");

        self::assertSame([$status, $body], [$response->status, $response->body]);
        self::assertStringStartsNotWith('text/event-stream', $response->headers['content-type'] ?? '');
        self::assertStringContainsString($log, $server->phpLog());
        $server->awaitOpenStreams(0);
        Deadline::until(
            static fn (): bool => $server->stats()['renders']['streams'] === 0,
            10.0,
            'no stream is kept for renders',
        );
        // The worker is as good as before.
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=value');
        $server->client->awaitEvents($stream, 1);
        $server->publish('news', 'second');
        self::assertSame(['first', 'second'], $server->client->awaitEvents($stream, 2));
    }

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::EACH_SAPI, 'apache-fcgi', 'caddy-fpm', ...Catalogue::BLOCKING]);
    }

    /** @dataProvider servers */
    public function testACallbackThatSendsOutputItselfIsAnErrorAndNoBrokenStream(string $name): void
    {
        $server = $this->serve($name);

        $response = $server->client->request('/replay/page.php?topics=news&callback=flushing');

        self::assertSame('flushed noise', $response->body);
        self::assertStringStartsWith('text/html', $response->headers['content-type']);
        $said = "Uncaught SseException: the response's headers are already sent (output started at ";
        self::assertStringContainsString($said, $server->phpLog());
        $server->awaitOpenStreams(0);
    }
}
