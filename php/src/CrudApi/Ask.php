<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Closure;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Tqdev\PhpCrudApi\Api;
use Tqdev\PhpCrudApi\Config\Config;
use Tqdev\PhpCrudApi\Database\GenericDB;
use Tqdev\PhpCrudApi\RequestFactory;
use Tqdev\PhpCrudApi\RequestUtils;
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

    // @mago-expect analysis:uninitialized-property - forRecord() and forTable() call ask(), which sets it.
    private ResponseInterface $response;
    private ?string $key = null;
    private ?Closure $exists = null;
    /** @var list<string> marks of the columns that the client may read, but for the key */
    private array $readable = [];
    private Scope $scope;
    /** @var array<array-key, mixed> the filters that were asked for */
    private array $filters = [];

    /** @param list<string>|null $ids null: the one record of the path */
    private function __construct(
        private readonly Bridge $bridge,
        private readonly string $table,
        private readonly string $path,
        private readonly ?array $ids,
    ) {
        $this->scope = Scope::unknown();
    }

    /** One record, by `GET /records/TABLE/ID`. */
    public static function forRecord(Bridge $bridge, string $table, string $id): self
    {
        $path = '/records/' . rawurlencode($table) . '/' . rawurlencode($id);

        return (new self($bridge, $table, $path, null))->ask();
    }

    /**
     * Some records of a table, by `GET /records/TABLE` with the client's own filters; with no ids any one, to learn
     * whether the table may be read.
     *
     * @param list<string> $ids
     */
    public static function forTable(Bridge $bridge, string $table, array $ids): self
    {
        return (new self($bridge, $table, '/records/' . rawurlencode($table), $ids))->ask();
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

    /**
     * The one record that was asked for; null if the client may not read it.
     *
     * @return array<string, mixed>|null
     */
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
        foreach ($this->listed() as $record) {
            $id = $record[(string) $this->key] ?? null;
            if (is_scalar($id) && in_array((string) $id, $this->ids ?? [], true)) {
                $records[(string) $id] = $record;
            }
        }

        return $records;
    }

    /** Whether an update can have changed what the client is shown of the row, or whether it is shown it. */
    public function shows(Change $update): bool
    {
        return $update->columns === null
            || !$this->scope->isComparableWith($update->scope)
            || array_intersect($this->readable, $update->columns) !== []
            || $this->scope->dependsOn($update->columns);
    }

    /**
     * The keys of what was found, as the database has them.
     *
     * @return list<string>
     */
    public function keys(): array
    {
        $records = $this->ids === null ? [$this->record()] : $this->listed();
        $keys = array_map(fn (?array $record): mixed => $record[(string) $this->key] ?? null, $records);

        return array_values(array_map('strval', array_filter($keys, 'is_scalar')));
    }

    /**
     * @internal
     *
     * @return list<string>|null
     */
    public function ids(): ?array
    {
        return $this->ids;
    }

    /**
     * @internal The site's rules have let the question through, and this is what they have made of it.
     *
     * @param list<string>          $columns that the client may read
     * @param Closure(string): bool $exists
     */
    public function reached(
        ServerRequestInterface $request,
        GenericDB $db,
        string $key,
        array $columns,
        Closure $exists,
    ): void {
        $this->key = $key;
        // No update writes the key, also where a body has it.
        foreach (array_diff($columns, [$key]) as $column) {
            $this->readable[] = $this->bridge->mark("column $column");
        }
        $this->exists = $exists;
        // A customization.beforeHandler may have added a filter, or asked for another table.
        $isAsAsked = urldecode($request->getUri()->getPath()) === urldecode($this->path)
            && self::filters($request) === $this->filters;
        if ($isAsAsked && !$this->bridge->hasHiddenRules()) {
            $this->scope = Scope::ofRequest($this->bridge, $this->table, $db);
        }
    }

    private function ask(): self
    {
        $api = Reader::for($this, fn (): Api => new Api(new Config($this->bridge->full())));
        $request = $this->request();
        $this->filters = self::filters($request);
        $this->response = $api->handle($request);
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

    /** @return array<array-key, mixed> */
    private static function filters(ServerRequestInterface $request): array
    {
        return array_filter(
            RequestUtils::getParams($request),
            static fn (string|int $name): bool => str_starts_with((string) $name, 'filter'),
            ARRAY_FILTER_USE_KEY,
        );
    }

    /** @return list<array<string, mixed>> the records of a list */
    private function listed(): array
    {
        $records = $this->body()['records'] ?? null;
        if (!is_array($records)) {
            throw $this->notUnderstood();
        }
        foreach ($records as $record) {
            is_array($record) || throw $this->notUnderstood();
        }

        /** @var list<array<string, mixed>> $records */
        return $records;
    }

    /** @return array<string, mixed> */
    private function body(): array
    {
        $body = $this->response->getBody();
        /** @var array<string, mixed>|scalar|null $value */
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
