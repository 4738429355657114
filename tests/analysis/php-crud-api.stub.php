<?php

/**
 * The part of PHP-CRUD-API that php/src/CrudApi uses, for the analyser: no package of a distribution has it. Types that its
 * own code leaves out are those that it gives.
 */

namespace Tqdev\PhpCrudApi {

    use Psr\Http\Message\ResponseInterface;
    use Psr\Http\Message\ServerRequestInterface;
    use Psr\Http\Server\RequestHandlerInterface;

    class Api implements RequestHandlerInterface
    {
        public function __construct(Config\Config $config) {}

        public function handle(ServerRequestInterface $request): ResponseInterface {}
    }

    class RequestFactory
    {
        public static function fromGlobals(): ServerRequestInterface {}
    }

    class RequestUtils
    {
        /** @param array<array-key, list<string|int>> $params */
        public static function setParams(ServerRequestInterface $request, array $params): ServerRequestInterface {}

        /** @return array<array-key, list<string|int>> */
        public static function getParams(ServerRequestInterface $request): array {}

        public static function getPathSegment(ServerRequestInterface $request, int $part): string {}
    }

    class ResponseFactory
    {
        public static function fromStatus(int $status): ResponseInterface {}
    }
}

namespace Tqdev\PhpCrudApi\Column {

    class ReflectionService
    {
        public function hasTable(string $tableName): bool {}

        public function getTable(string $tableName): Reflection\ReflectedTable {}
    }
}

namespace Tqdev\PhpCrudApi\Column\Reflection {

    class ReflectedColumn
    {
        public function getName(): string {}

        public function getType(): string {}
    }

    class ReflectedTable
    {
        public function hasColumn(string $columnName): bool {}

        public function getPk(): ?ReflectedColumn {}

        /** @return list<string> */
        public function getColumnNames(): array {}
    }
}

namespace Tqdev\PhpCrudApi\Config\Base {

    interface ConfigInterface
    {
    }
}

namespace Tqdev\PhpCrudApi\Config {

    class Config implements Base\ConfigInterface
    {
        /** @param array<string, mixed> $values */
        public function __construct(array $values) {}
    }
}

namespace Tqdev\PhpCrudApi\Controller {

    use Psr\Http\Message\ResponseInterface;

    interface Responder
    {
        public function error(int $error, string $argument, mixed $details = null): ResponseInterface;
    }
}

namespace Tqdev\PhpCrudApi\Database {

    use Tqdev\PhpCrudApi\Column\Reflection\ReflectedTable;

    class GenericDB
    {
        /**
         * @param list<string> $columnNames
         *
         * @return array<string, mixed>|null
         */
        public function selectSingle(ReflectedTable $table, array $columnNames, string $id): ?array {}

        public function getCacheKey(): string {}
    }
}

namespace Tqdev\PhpCrudApi\Middleware\Base {

    use Psr\Http\Server\MiddlewareInterface;
    use Tqdev\PhpCrudApi\Config\Base\ConfigInterface;
    use Tqdev\PhpCrudApi\Controller\Responder;
    use Tqdev\PhpCrudApi\Middleware\Router\Router;

    abstract class Middleware implements MiddlewareInterface
    {
        /** @var Router */
        protected $next;
        /** @var Responder */
        protected $responder;

        public function __construct(Router $router, Responder $responder, ConfigInterface $config, string $middleware) {}
    }
}

namespace Tqdev\PhpCrudApi\Middleware\Communication {

    class VariableStore
    {
        /** @var array<string, mixed> */
        public static array $values = [];

        public static function get(string $key): mixed {}
    }
}

namespace Tqdev\PhpCrudApi\Middleware\Router {

    use Psr\Http\Server\RequestHandlerInterface;
    use Tqdev\PhpCrudApi\Middleware\Base\Middleware;

    interface Router extends RequestHandlerInterface
    {
        /** @param array{object, string} $handler */
        public function register(string $method, string $path, array $handler): void;

        public function load(Middleware $middleware): void;
    }
}

namespace Tqdev\PhpCrudApi\Record {

    class ErrorCode
    {
        public const ERROR_NOT_FOUND = 9999;
        public const TABLE_NOT_FOUND = 1001;
        public const ARGUMENT_COUNT_MISMATCH = 1002;
        public const RECORD_NOT_FOUND = 1003;
        public const PRIMARY_KEY_NOT_FOUND = 1023;
    }
}

namespace Tqdev\PhpCrudApi\Record\Condition {

    use Tqdev\PhpCrudApi\Column\Reflection\ReflectedColumn;

    abstract class Condition
    {
    }

    class NoCondition extends Condition
    {
    }

    class AndCondition extends Condition
    {
        /** @return list<Condition> */
        public function getConditions(): array {}
    }

    class OrCondition extends Condition
    {
        /** @return list<Condition> */
        public function getConditions(): array {}
    }

    class NotCondition extends Condition
    {
        public function getCondition(): Condition {}
    }

    class ColumnCondition extends Condition
    {
        public function getColumn(): ReflectedColumn {}

        public function getOperator(): string {}

        public function getValue(): string {}
    }
}
