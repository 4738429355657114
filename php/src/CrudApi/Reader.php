<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;
use Psr\Http\Server\RequestHandlerInterface;
use Tqdev\PhpCrudApi\Column\ReflectionService;
use Tqdev\PhpCrudApi\Controller\Responder;
use Tqdev\PhpCrudApi\Database\GenericDB;
use Tqdev\PhpCrudApi\Middleware\Base\Middleware;
use Tqdev\PhpCrudApi\Middleware\Communication\VariableStore;
use Tqdev\PhpCrudApi\Record\ErrorCode;
use Tqdev\PhpCrudApi\RequestUtils;

/**
 * The innermost middleware of an API that is asked: there the site's rules have been applied, so it can keep a list to
 * some records, and see which rows the client is kept to.
 */
final class Reader extends Middleware
{
    private static ?Ask $ask = null;

    // The parent's constructor wants a name of the settings, which this one doesn't have.
    public function __construct(
        private readonly Ask $asked,
        Responder $responder,
        private readonly GenericDB $db,
        private readonly ReflectionService $reflection,
    ) {
        $this->responder = $responder;
    }

    /** The question that an API is being made for; null for the one that answers the request. */
    public static function asked(): ?Ask
    {
        return self::$ask;
    }

    /**
     * Makes an API that serves this question.
     *
     * @template T
     *
     * @param callable(): T $make
     *
     * @return T
     */
    public static function for(Ask $ask, callable $make): mixed
    {
        self::$ask = $ask;
        try {
            return $make();
        } finally {
            self::$ask = null;
        }
    }

    public function process(ServerRequestInterface $request, RequestHandlerInterface $handler): ResponseInterface
    {
        $table = RequestUtils::getPathSegment($request, 2);
        if (!$this->reflection->hasTable($table)) {
            return $handler->handle($request);
        }
        $reflected = $this->reflection->getTable($table);
        $key = $reflected->getPk()?->getName();
        if ($key === null || !$reflected->hasColumn($key)) {
            // No key, or none that this client may see: its records can't be told apart.
            return $this->responder->error(ErrorCode::PRIMARY_KEY_NOT_FOUND, $table);
        }
        $exists = fn (string $id): bool => $this->exists($table, $key, $id);
        $this->asked->reached($request, $this->db, $key, $reflected->getColumnNames(), $exists);
        $params = RequestUtils::getParams($request);
        $params['mandatory'][] = "$table.$key";
        $ids = $this->asked->ids();
        if ($ids !== null) {
            // The rules about pages are for those who page through a table.
            unset($params['page']);
            $params['size'] = [max(1, count($ids))];
            if ($ids !== []) {
                $params['filter'][] = "$key,in," . implode(',', $ids);
            }
        }

        return $handler->handle(RequestUtils::setParams($request, $params));
    }

    private function exists(string $table, string $key, string $id): bool
    {
        $conditions = VariableStore::$values;
        VariableStore::$values = [];
        try {
            return $this->db->selectSingle($this->reflection->getTable($table), [$key], $id) !== null;
        } finally {
            VariableStore::$values = $conditions;
        }
    }
}
