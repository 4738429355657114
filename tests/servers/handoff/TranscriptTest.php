<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Stream;
use PhpSse\Tests\Server\Catalogue;
use PhpSse\Tests\Support\Transcript;

/**
 * The bytes of a stream, on every server, against a file for people to read.
 *
 * SSE_TRANSCRIPTS=write writes the files anew; look at the difference before committing it.
 */
final class TranscriptTest extends ServerTestCase
{
    private const REQUEST = '/stream.php?topics=chat.**';

    /** What is published, and what each event looks like on the wire. */
    private const EVENTS = [
        [['data' => 'plain'], "id: 1-1\ndata: plain\n\n"],
        [['data' => 'named', 'event' => 'greeting'], "id: 1-2\nevent: greeting\ndata: named\n\n"],
        [['data' => 'with retry', 'retry' => 250], "id: 1-3\nretry: 250\ndata: with retry\n\n"],
        [['data' => "LF\nCRLF\r\nCR\rend"], "id: 1-4\ndata: LF\ndata: CRLF\ndata: CR\ndata: end\n\n"],
        [['data' => ''], "id: 1-5\ndata: \n\n"],
        [['data' => "\n"], "id: 1-6\ndata: \ndata: \n\n"],
        [['data' => ' leading space: and a colon'], "id: 1-7\ndata:  leading space: and a colon\n\n"],
        [['data' => 'grüße 日本 🎈'], "id: 1-8\ndata: grüße 日本 🎈\n\n"],
    ];

    /** @return array<string, array{string}> */
    public static function servers(): array
    {
        return Catalogue::each([...Catalogue::HAND_OFF, ...Catalogue::BLOCKING]);
    }

    /** @dataProvider servers */
    public function testTheBytesAreThoseOfTheTranscript(string $name): void
    {
        $server = $this->serve($name, ['expose_php' => 0]);
        $client = $server->client;
        $stream = $client->openOne(self::REQUEST);
        $body = $stream->response->body;
        self::assertMatchesRegularExpression('/^retry: 2000\nid: \d{13}-0\n\n$/D', $body);

        foreach (self::EVENTS as $number => [$event, $bytes]) {
            $data = $event['data'];
            unset($event['data']);
            $server->publish('chat.room', $data, $event + ['id' => '1-' . ($number + 1)]);
            $body .= $bytes;
            // One at a time, so that servers which re-chunk have nothing to merge.
            $client->await(
                $stream,
                static fn (Stream $stream): bool => strlen($stream->response->body) >= strlen($body)
                    && ($stream->response->isRaw() || str_ends_with($stream->response->coded, "\n\r\n")),
                10.0,
                'event ' . ($number + 1) . ' has come',
            );
        }

        self::assertSame($body, $stream->response->body);
        $this->assertTranscript($name, Transcript::of('GET ' . self::REQUEST, $stream->response));
    }

    private function assertTranscript(string $name, string $transcript): void
    {
        $file = __DIR__ . "/transcripts/$name.txt";
        if (getenv('SSE_TRANSCRIPTS') === 'write') {
            file_put_contents($file, $transcript);
        }
        self::assertStringEqualsFile($file, $transcript);
    }
}
