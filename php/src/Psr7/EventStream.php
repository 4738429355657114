<?php

declare(strict_types=1);

namespace Sse\Psr7;

use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\StreamInterface;
use RuntimeException;
use Sse\Stream;

/**
 * The body of a PSR-7 response that becomes an event stream when it is read, which is when the response is emitted.
 *
 * By then all middlewares have run, and the emitter has set their headers and cookies, which go out with the stream.
 *
 * ```php
 * $app->get('/orders', function ($request, $response) {
 *     $topics = Topic::of('users', $request->getAttribute('user'), 'orders') . '.*';
 *
 *     return EventStream::respond($response, Stream::of($topics));
 * });
 * ```
 *
 * {@see \Sse\Topic::of()} encodes the identifier: as it is, that of a user who is called `*` would watch everybody's orders.
 *
 * An exception then leaves the emitter, where few frameworks catch any. {@see open()} opens the stream earlier.
 * The body is empty for PHP: it can be read once, whole or in parts, and gives no bytes.
 */
final class EventStream implements StreamInterface
{
    private bool $read = false;

    public function __construct(private readonly Stream $stream)
    {
    }

    /** The response with this body, and with the headers that tell middlewares what it is. */
    public static function respond(ResponseInterface $response, Stream $stream): ResponseInterface
    {
        return $response
            ->withHeader('Content-Type', 'text/event-stream')
            ->withHeader('Cache-Control', 'no-cache, no-transform')
            ->withBody(new self($stream));
    }

    /**
     * Opens the stream of a response now, in a middleware just inside the one that handles errors, so that that one
     * gets the exceptions. Other responses are left alone.
     *
     * Only for emitters that ask headers_sent() and leave the headers then, as those of Slim 3 and 4 do: Laminas' throw
     * an exception and CakePHP's warns.
     */
    public static function open(ResponseInterface $response): ResponseInterface
    {
        $body = $response->getBody();
        if ($body instanceof self && !$body->read) {
            // Without those that sse_stream() sets itself: they would be wrong on the page that tells of an exception.
            $headers = $response->withoutHeader('Content-Type')->withoutHeader('Cache-Control')->getHeaders();
            foreach ($headers as $name => $values) {
                $replace = strcasecmp((string) $name, 'Set-Cookie') !== 0;
                foreach ($values as $value) {
                    header("$name: $value", $replace);
                    $replace = false;
                }
            }
            $body->getContents();
        }

        return $response;
    }

    public function getContents(): string
    {
        if (!$this->read) {
            // First, since the handler of an exception may ask for the body again.
            $this->read = true;
            $this->stream->open();
        }

        return '';
    }

    public function __toString(): string
    {
        return $this->getContents();
    }

    // The parameters have no types, and so fit both versions of the interface.

    public function read($length): string
    {
        return $this->getContents();
    }

    public function eof(): bool
    {
        return $this->read;
    }

    public function isReadable(): bool
    {
        return true;
    }

    public function getSize(): ?int
    {
        return null;
    }

    public function close(): void
    {
        $this->read = true;
    }

    public function detach()
    {
        $this->read = true;

        return null;
    }

    public function tell(): int
    {
        return 0;
    }

    public function isSeekable(): bool
    {
        return false;
    }

    public function seek($offset, $whence = SEEK_SET): void
    {
        throw new RuntimeException('an event stream can\'t be rewound');
    }

    public function rewind(): void
    {
        $this->seek(0);
    }

    public function isWritable(): bool
    {
        return false;
    }

    public function write($string): int
    {
        throw new RuntimeException('an event stream is written by sse_publish() and its callback only');
    }

    /** @param string|null $key */
    public function getMetadata($key = null)
    {
        return $key === null ? [] : null;
    }
}
