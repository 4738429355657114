<?php

declare(strict_types=1);

namespace PhpSse\Tests;

/** Containers refuse system calls that they do not know with EPERM: that is no answer to what was asked. */
final class RefusedCallsTest extends RenderTestCase
{
    /** @return array<string, array{string}> */
    public static function dispensable(): array
    {
        $calls = ['faccessat2', 'pidfd_open', 'close_range', 'process_vm_writev', 'statx', 'prlimit64', 'getrandom'];

        return array_combine($calls, array_map(static fn (string $call): array => [$call], $calls));
    }

    /** @dataProvider dispensable */
    public function testStreamsAreHandedOffAndRenderedWithout(string $call): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['refused' => $call]);
        $stream = $server->client->openOne('/replay/page.php?topics=news&callback=value');
        $server->client->awaitEvents($stream, 1);

        $server->publish('news', 'second');

        self::assertSame(['first', 'second'], $server->client->awaitEvents($stream, 2));
        self::assertSame(1, $server->stats()['renders']['streams'], $server->logs());
    }

    /** @return array<string, array{string, string}> */
    public static function indispensable(): array
    {
        return ['clone3' => ['clone3', 'starting the ordering thread failed'], 'eventfd2' => ['eventfd2', 'making a waker failed']];
    }

    /** @dataProvider indispensable */
    public function testWhatKeepsAHubFromStartingIsInTheExceptionAndInItsLog(string $call, string $why): void
    {
        $server = $this->serve('nginx-fpm-unix', [], ['refused' => $call]);

        $response = $server->client->request('/publish.php', [], 'POST', 'topic=news&data=one');

        self::assertStringContainsString("$why: Operation not permitted", $response->body . $server->phpLog());
        self::assertStringContainsString($why, (string) file_get_contents("{$server->socket()}.log"));
    }
}
