<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Server;
use PhpSse\Tests\Support\Deadline;

/** Tests of app/replay: its pages and these tests tell each other things in files of the folder `data`. */
abstract class RenderTestCase extends ServerTestCase
{
    protected function serve(string $name, array $ini = [], array $options = []): Server
    {
        $server = parent::serve($name, $ini, $options);
        $server->folder->folder('data', 0777);

        return $server;
    }

    /** Says something to the pages; nothing takes it back. */
    final protected function tell(Server $server, string $name, string $text): void
    {
        $file = "{$server->folder->path}/data/$name";
        if ($text === '') {
            @unlink($file);

            return;
        }
        // In one step, so that no page sees half of it.
        file_put_contents("$file.new", $text);
        chmod("$file.new", 0666);
        rename("$file.new", $file);
    }

    /** @return list<string> the lines that pages have left */
    final protected function told(Server $server, string $name = 'runs'): array
    {
        return @file("{$server->folder->path}/data/$name", FILE_IGNORE_NEW_LINES) ?: [];
    }

    /** @return list<string> the reasons of the runs so far, once there are so many */
    final protected function awaitRuns(Server $server, int $count, string $name = 'runs'): array
    {
        Deadline::until(
            fn (): bool => count($this->told($server, $name)) >= $count,
            10.0,
            "$count lines are in '$name'",
            fn (): string => implode(', ', $this->told($server, $name)),
        );

        return array_map(static fn (string $line): string => explode(' ', $line)[0], $this->told($server, $name));
    }

    final protected function trigger(Server $server, string $topic): void
    {
        self::assertSame(['taken' => true], $server->json("/trigger.php?topic=$topic"));
    }

    /** Waits for the end of a response, and that it is a whole one. */
    final protected function awaitCleanEnd(Server $server, Stream $stream): void
    {
        $server->client->await($stream, static fn (Stream $stream): bool => $stream->ended, 10.0, 'the stream has ended');
        self::assertTrue($stream->response->isRaw() || $stream->response->isComplete(), $stream->summary());
    }

    /** @return list<mixed> the data of a stream's events, which are JSON */
    final protected static function decoded(Stream $stream): array
    {
        return array_map(
            static fn (string $data): mixed => json_decode($data, true, 512, JSON_THROW_ON_ERROR),
            $stream->data(),
        );
    }
}
