<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Deadline;

/** What becomes of a stream whose callback fails when it is already under way. */
final class RenderLaterRunTest extends RenderTestCase
{
    private const BODY = "retry: 2000\n\ndata: first\n\n";

    /**
     * @param list<string> $servers
     * @return iterable<string, array{string, string, string}>
     */
    private static function failures(array $servers): iterable
    {
        $failures = [
            'throw' => 'RuntimeException: thrown by the callback',
            'exit' => 'it called exit',
            'fatal' => 'Call to undefined function no_such_function()',
            'memory' => 'Allowed memory size',
            'nested' => "sse_stream() can't be called by its own \$render",
            'handled' => 'LogicException: for the handler',
            'unsendable' => 'JsonException',
        ];
        foreach ($servers as $server) {
            foreach ($failures as $how => $reason) {
                yield "$server, $how" => [$server, $how, $reason];
            }
        }
    }

    /** @return iterable<string, array{string, string, string}> */
    public static function failuresInWorkers(): iterable
    {
        return self::failures(Catalogue::BLOCKING);
    }

    /** @dataProvider failuresInWorkers */
    public function testInAWorkerItEndsThereWithoutAWordToTheClient(string $name, string $how, string $reason): void
    {
        $server = $this->serve($name, ['display_errors' => 1]);
        $stream = $server->client->openOne("/replay/page.php?topics=news&callback=fails-later&how=$how");
        $server->client->awaitEvents($stream, 1);

        $server->publish('news', 'event');

        $this->awaitCleanEnd($server, $stream);
        self::assertSame(self::BODY, $stream->response->body);
        if (!in_array($how, ['handled', 'exit'], true)) {
            self::assertStringContainsString($reason, $server->phpLog());
        }
        $server->awaitOpenStreams(0);
    }

    /** @return iterable<string, array{string, string, string}> */
    public static function failuresInReplays(): iterable
    {
        return self::failures(Catalogue::EACH_SAPI);
    }

    /** @dataProvider failuresInReplays */
    public function testInAReplayTheStreamStaysAndItIsTriedAgain(string $name, string $how, string $reason): void
    {
        $server = $this->serve($name, ['display_errors' => 1]);
        $stream = $server->client->openOne("/replay/page.php?topics=news&callback=fails-later&how=$how");
        $server->client->awaitEvents($stream, 1);

        $server->publish('news', 'event');

        self::assertSame(['original', 'wake', 'retry'], array_slice($this->awaitRuns($server, 3), 0, 3));
        self::assertSame(self::BODY, $stream->response->body);
        self::assertTrue($stream->isOpen(), $stream->summary());
        Deadline::until(
            static fn (): bool => str_contains((string) file_get_contents("{$server->socket()}.log"), $reason),
            10.0,
            "the hub's log says why",
            static fn (): string => (string) file_get_contents("{$server->socket()}.log"),
        );
    }
}
