<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** Scripts that fork while the hub waits for what they render. */
final class RenderForkTest extends RenderTestCase
{
    /** @var list<int> */
    private array $children = [];

    protected function tearDown(): void
    {
        array_map(static fn (int $pid): bool => posix_kill($pid, SIGKILL), $this->children);
        parent::tearDown();
    }

    public function testAChildThatEndsDoesNotEndTheRenderOfItsParent(): void
    {
        if (!function_exists('pcntl_fork')) {
            self::markTestSkipped('pcntl: this PHP has none');
        }
        $server = $this->serve('php-s-workers');
        $stream = $server->client->open('/replay/page.php?callback=forks&topics=a');
        $server->client->awaitEvents($stream, 1);
        $server->publish('a', 'second');
        $server->client->awaitEvents($stream, 2);
        foreach ($this->told($server, 'children') as $child) {
            $child = json_decode($child, true);
            $this->children[] = $child['pid'];
            self::assertSame('over', $child['reason'], 'nobody waits for what a child renders');
        }

        self::assertCount(1, $this->children);
        self::assertSame("data: first\n\ndata: second\n\n", self::withoutOpening($stream->response->body));
        self::assertSame(0, $server->stats()['renders']['failed']);
    }

    private static function withoutOpening(string $body): string
    {
        return (string) preg_replace('/^retry: \d+\n(id: .*\n)?\n/', '', $body);
    }
}
