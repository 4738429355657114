<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use JsonException;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\RequestHandlerInterface;
use Sse\Event;
use SseException;
use SseInvalidArgument;
use Throwable;
use Tqdev\PhpCrudApi\Column\ReflectionService;
use Tqdev\PhpCrudApi\Database\GenericDB;
use Tqdev\PhpCrudApi\Middleware\Base\Middleware;
use Tqdev\PhpCrudApi\Middleware\Communication\VariableStore;
use Tqdev\PhpCrudApi\RequestUtils;

/**
 * Publishes what the API has written, once the database has it.
 *
 * It is the innermost middleware: what it sees is the request that is carried out, after all rules and handlers of the
 * site, and the answer as it was made. A failed batch answers 424, as nothing of it was done, and a row that the
 * client can't reach counts as 0 rows with the status 200: neither is published.
 */
final class Publisher extends Middleware
{
    private const ACTIONS = ['POST' => 'create', 'PUT' => 'update', 'DELETE' => 'delete', 'PATCH' => 'increment'];

    // The parent's constructor wants a name of the settings, which this one doesn't have.
    public function __construct(
        private readonly GenericDB $db,
        private readonly ReflectionService $reflection,
        private readonly Bridge $bridge,
    ) {
    }

    public function process(ServerRequestInterface $request, RequestHandlerInterface $handler): ResponseInterface
    {
        $action = self::ACTIONS[strtoupper($request->getMethod())] ?? null;
        $table = RequestUtils::getPathSegment($request, 2);
        if ($action === null || RequestUtils::getPathSegment($request, 1) !== 'records' || $table === '') {
            return $handler->handle($request);
        }
        $ids = [];
        if ($action !== 'create') {
            foreach (explode(',', RequestUtils::getPathSegment($request, 3)) as $id) {
                // Before it may be gone.
                $ids[] = $this->storedId($table, $id);
            }
        }
        $columns = $this->columns($action, $request->getParsedBody());
        $response = $handler->handle($request);
        if ($response->getStatusCode() === 200) {
            $this->publishAll($table, $action, $ids, $columns, $this->results($response));
        }

        return $response;
    }

    /**
     * @param list<string>       $ids     none for what is created
     * @param list<list<string>> $columns marks of those that are written, for each record
     * @param list<mixed>        $results an id for each that is created, a number of rows for each that isn't
     */
    private function publishAll(string $table, string $action, array $ids, array $columns, array $results): void
    {
        $scope = Scope::ofRequest($this->bridge, $table, $this->db);
        foreach ($results as $i => $result) {
            if ($action === 'create') {
                $id = is_scalar($result) ? $this->storedId($table, (string) $result) : null;
            } else {
                $id = is_numeric($result) && $result > 0 ? $ids[$i] ?? null : null;
            }
            if ($id === null) {
                continue;
            }
            $event = ['action' => $action, 'table' => $table, 'id' => $id];
            if ($this->bridge->record && $action !== 'delete') {
                $event['record'] = Ask::forRecord($this->bridge, $table, $id)->record();
            }
            $event['scope'] = $scope->toArray() + ['columns' => $columns[$i] ?? []];
            $this->publish($this->bridge->topic($table, $id), $event);
        }
    }

    /**
     * The change is made, and its client has to be told so: that nobody else could be told is for the log.
     *
     * @param array<string, mixed> $event
     */
    private function publish(string $topic, array $event): void
    {
        try {
            try {
                $this->bridge->publisher->publish(new Event($topic, $event));
            } catch (SseInvalidArgument $tooLarge) {
                if (!isset($event['record'])) {
                    throw $tooLarge;
                }
                unset($event['record']);
                $this->bridge->publisher->publish(new Event($topic, $event));
            }
        } catch (SseException | JsonException $problem) {
            $why = $problem->getMessage();
            error_log("Sse\\CrudApi: a change of $topic was made, but could not be published: $why");
        }
    }

    /** @return list<mixed> one for each record; the body can be read once more */
    private function results(ResponseInterface $response): array
    {
        $body = $response->getBody();
        $result = json_decode((string) $body, false, 512, JSON_BIGINT_AS_STRING);
        // The API's own output() reads on from where one is.
        $body->rewind();

        return is_array($result) ? array_values($result) : [$result];
    }

    /**
     * The marks of the columns that a body writes, for each of its records.
     *
     * @return list<list<string>>
     */
    private function columns(string $action, mixed $body): array
    {
        if ($action !== 'update' && $action !== 'increment') {
            return [];
        }

        return array_map(
            function (mixed $record): array {
                $record = is_object($record) ? get_object_vars($record) : $record;
                $names = is_array($record) ? array_keys($record) : [];

                return array_map(fn (string|int $name): string => $this->bridge->mark("column $name"), $names);
            },
            array_values(is_array($body) ? $body : [$body]),
        );
    }

    /**
     * A record's id as a string, in the form that the database has it in: `05`, `5` and, by some collations, `a` and
     * `A` are ways to say the same, and have to be one topic.
     */
    private function storedId(string $table, string $id): string
    {
        if (preg_match('/^(0|[1-9]\d{0,17})$/D', $id) === 1 || !$this->reflection->hasTable($table)) {
            return $id;
        }
        // What the client may see of the row doesn't matter to how its key is written.
        $conditions = VariableStore::$values;
        VariableStore::$values = [];
        try {
            $reflected = $this->reflection->getTable($table);
            $key = $reflected->getPk()?->getName();
            $row = $key === null ? null : $this->db->selectSingle($reflected, [$key], $id);

            $stored = $key === null ? null : $row[$key] ?? null;

            return is_scalar($stored) ? (string) $stored : $id;
        } catch (Throwable) {
            // It is the API's to say what is wrong with the id.
            return $id;
        } finally {
            VariableStore::$values = $conditions;
        }
    }
}
