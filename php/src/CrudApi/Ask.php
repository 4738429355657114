<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Closure;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Tqdev\PhpCrudApi\Api;
use Tqdev\PhpCrudApi\Config\Config;
use Tqdev\PhpCrudApi\RequestFactory;
use UnexpectedValueException;

/**
 * A question to the API, as the client of this request: the same headers, cookies and session, all of the site's rules.
 *
 * Each one is asked of an API of its own: one that has answered a request has no middlewares left.
 */
final class Ask
{
    /** Parameters that are about pages, forms of the answer, or the stream. */
    private const NOT_OURS = ['page', 'size', 'order', 'format', 'mandatory', 'lasteventid'];

    private ResponseInterface $response;
    private ?string $key = null;
    private ?Closure $exists = null;
    private Scope $scope;

    /** @param list<string>|null $ids null: the one record of the path */
    private function __construct(private readonly string $path, private readonly ?array $ids)
    {
    }

    /** One record, by `GET /records/TABLE/ID`. */
    public static function forRecord(Bridge $bridge, string $table, string $id): self
    {
        return (new self('/records/' . rawurlencode($table) . '/' . rawurlencode($id), null))->ask($bridge, $table);
    }

    /**
     * Some records of a table, by `GET /records/TABLE` with the client's own filters; with no ids any one, to learn whether
     * the table may be read.
     *
     * @param list<string> $ids
     */
    public static function forTable(Bridge $bridge, string $table, array $ids): self
    {
        return (new self('/records/' . rawurlencode($table), $ids))->ask($bridge, $table);
    }

    public function response(): ResponseInterface
    {
        return $this->response;
    }

    public function isAllowed(): bool
    {
        return $this->response->getStatusCode() === 200;
    }

    /** Whether the client may read the table, but there is no such record, not for anybody. */
    public function isGone(string $id): bool
    {
        return $this->response->getStatusCode() === 404 && $this->exists !== null && !($this->exists)($id);
    }

    /** Which rows the client is kept to. */
    public function scope(): Scope
    {
        return $this->scope;
    }

    /** The one record that was asked for; null if the client may not read it. */
    public function record(): ?array
    {
        return $this->isAllowed() ? $this->body() : null;
    }

    /**
     * Those of the records that the client may read.
     *
     * @return array<string|int, array<string, mixed>> by id
     */
    public function records(): array
    {
        $records = [];
        foreach ($this->body()['records'] ?? throw $this->notUnderstood() as $record) {
            $id = $record[$this->key] ?? null;
            if (is_scalar($id) && in_array((string) $id, $this->ids ?? [], true)) {
                $records[(string) $id] = $record;
            }
        }

        return $records;
    }

    /** @internal @return list<string>|null */
    public function ids(): ?array
    {
        return $this->ids;
    }

    /**
     * @internal The site's rules have let the question through.
     *
     * @param Closure(string): bool $exists
     */
    public function reached(string $key, Closure $exists): void
    {
        $this->key = $key;
        $this->exists = $exists;
    }

    private function ask(Bridge $bridge, string $table): self
    {
        $api = Reader::for($this, static fn (): Api => new Api(new Config($bridge->full())));
        $this->response = $api->handle($this->request());
        $this->scope = Scope::ofRequest($bridge, $table);
        // A login in the middlewares has opened it; nobody else should wait for it while the stream is open.
        if (session_status() === PHP_SESSION_ACTIVE) {
            session_write_close();
        }

        return $this;
    }

    private function request(): ServerRequestInterface
    {
        $request = RequestFactory::fromGlobals();
        $uri = $request->getUri();
        // Where the API is, is what comes before its own path.
        $base = (string) preg_replace('~(/sse)?/records(/.*)?$~', '', $uri->getPath());
        $query = array_filter(explode('&', $uri->getQuery()), static function (string $parameter): bool {
            $name = strtolower(urldecode(explode('=', $parameter)[0]));

            return !in_array(explode('[', $name)[0], self::NOT_OURS, true);
        });

        return $request
            ->withMethod('GET')
            ->withUri($uri->withPath($base . $this->path)->withQuery(implode('&', $query)))
            ->withParsedBody(null);
    }

    /** @return array<string, mixed> */
    private function body(): array
    {
        $body = $this->response->getBody();
        $value = json_decode((string) $body, true, 512, JSON_BIGINT_AS_STRING);
        $body->rewind();

        return is_array($value) ? $value : throw $this->notUnderstood();
    }

    private function notUnderstood(): UnexpectedValueException
    {
        return new UnexpectedValueException(
            "the API answers {$this->path} with something else than a record or a list of records in JSON; "
            . 'a customization.afterHandler that changes answers has to leave their form as it is',
        );
    }
}
