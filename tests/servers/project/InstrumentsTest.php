<?php

declare(strict_types=1);

namespace PhpSse\Tests;

use PhpSse\Tests\Client\Event;
use PhpSse\Tests\Client\EventParser;
use PhpSse\Tests\Client\Response;
use PHPUnit\Framework\TestCase;
use UnexpectedValueException;

/** What the other tests measure with has to be right itself. */
final class InstrumentsTest extends TestCase
{
    private const STREAM = ": comment\r\n\r\nretry: 2000\n\nid: 1\nevent: name\rdata: a\r\ndata:b\n\ndata\n\n"
        . "id: 2\n\ndata: c\n\ncut";

    /** @return array<string, array{int}> */
    public static function pieceSizes(): array
    {
        return ['byte by byte' => [1], 'in twos' => [2], 'in sevens' => [7], 'at once' => [1000]];
    }

    /** @dataProvider pieceSizes */
    public function testTheParserReadsAllLineEndsHoweverTheBytesAreCut(int $size): void
    {
        $parser = new EventParser();

        foreach (str_split(self::STREAM, $size) as $piece) {
            $parser->feed($piece);
        }

        self::assertEquals(
            [new Event('1', 'name', "a\nb"), new Event('1', 'message', ''), new Event('2', 'message', 'c')],
            $parser->events,
        );
        self::assertSame(1, $parser->comments);
        self::assertSame(2000, $parser->retry);
    }

    /** @dataProvider pieceSizes */
    public function testTheResponseUndoesChunksHoweverTheBytesAreCut(int $size): void
    {
        $response = new Response();
        $bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\na: 2\r\n\r\n"
            . "3\r\nabc\r\nB;x=y\r\n\r\n012345678\r\n0\r\n\r\n";

        foreach (str_split($bytes, $size) as $piece) {
            self::assertFalse($response->isComplete());
            $response->feed($piece);
        }

        self::assertTrue($response->isComplete());
        self::assertSame("abc\r\n012345678", $response->body);
        self::assertSame('1, 2', $response->headers['a']);
    }

    public function testBytesThatAreNoChunkAreAnError(): void
    {
        $response = new Response();

        $this->expectException(UnexpectedValueException::class);
        $response->feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ndata: x\n\n\r\n");
    }

    public function testAnUncodedBodyEndsWithItsLengthOrTheConnection(): void
    {
        $long = new Response();
        $long->feed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
        self::assertFalse($long->isComplete());
        $long->feed('c');
        self::assertTrue($long->isComplete());

        $open = new Response();
        $open->feed("HTTP/1.1 200 OK\r\n\r\nabc");
        self::assertFalse($open->isComplete());
    }
}
