<?php

declare(strict_types=1);

namespace PhpSse\Tests\Client;

use RuntimeException;

/** One request and the stream that answers it; read by Client, never blocking. */
final class Stream
{
    public readonly Response $response;
    public readonly EventParser $parser;
    public bool $ended = false;

    /** @var null|resource */
    private $socket;
    private string $unsent;

    /** @param string $address tcp://host:port, or tls:// of the same */
    public function __construct(string $address, string $request)
    {
        $this->response = new Response();
        $this->parser = new EventParser();
        $this->unsent = $request;
        $tls = str_starts_with($address, 'tls:');
        $socket = @stream_socket_client(
            $address,
            $code,
            $message,
            10.0,
            $tls ? STREAM_CLIENT_CONNECT : STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT,
            stream_context_create(['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]]),
        );
        if ($socket === false) {
            throw new RuntimeException("cannot connect to $address: $message ($code)");
        }
        stream_set_blocking($socket, false);
        stream_set_read_buffer($socket, 0);
        stream_set_write_buffer($socket, 0);
        $this->socket = $socket;
    }

    public function __destruct()
    {
        $this->close();
    }

    /** @return null|resource */
    public function socket()
    {
        return $this->socket;
    }

    public function wantsToWrite(): bool
    {
        return $this->unsent !== '';
    }

    public function write(): void
    {
        $written = @fwrite($this->socket, $this->unsent);
        if ($written === false) {
            $this->end();

            return;
        }
        $this->unsent = substr($this->unsent, $written);
    }

    public function read(): void
    {
        // Until nothing is left: TLS may hold decrypted bytes that a select on the socket does not show.
        do {
            $bytes = @fread($this->socket, 262_144);
            if ($bytes === false || ($bytes === '' && feof($this->socket))) {
                $this->end();

                return;
            }
            $this->parser->feed($this->response->feed($bytes));
            if ($this->response->isComplete()) {
                $this->end();

                return;
            }
        } while ($bytes !== '');
    }

    /** Leaves, as a browser does when its tab is closed. */
    public function close(): void
    {
        if ($this->socket !== null) {
            fclose($this->socket);
            $this->socket = null;
        }
    }

    /** Whether the stream has begun: a 200 of the right type, and the hub's first bytes. */
    public function isOpen(): bool
    {
        return !$this->ended && $this->socket !== null && $this->response->status === 200
            && ($this->parser->retry !== null || $this->parser->comments > 0 || $this->parser->events !== []);
    }

    /** @return list<string> the data of the events so far */
    public function data(): array
    {
        return array_column($this->parser->events, 'data');
    }

    public function summary(): string
    {
        return ($this->ended ? 'ended by the server; ' : '') . $this->response->summary();
    }

    private function end(): void
    {
        $this->ended = true;
        $this->close();
    }
}
