<?php

declare(strict_types=1);

// A site's api.php: PHP-CRUD-API on the fixture's SQLite file, made live by the two lines, with the middlewares of a
// test.

use Tqdev\PhpCrudApi\Api;
use Tqdev\PhpCrudApi\Config\Config;
use Tqdev\PhpCrudApi\RequestFactory;
use Tqdev\PhpCrudApi\ResponseUtils;

/**
 * @param array<string, mixed> $settings
 * @param mixed                ...$live  arguments of CrudApi::live()
 */
function serve(array $settings, mixed ...$live): void
{
    $folder = dirname(__DIR__, 2);
    require "$folder/php-crud-api/api.include.php";
    require __DIR__ . '/autoload.php';
    $config = new Config(Sse\CrudApi::live($settings + [
        'driver' => 'sqlite',
        'address' => "$folder/data/data.db",
        'database' => 'data',
        'username' => 'none',
        'cachePath' => "$folder/data",
    ], ...$live));
    $api = new Api($config);
    $response = $api->handle(RequestFactory::fromGlobals());
    ResponseUtils::output($response);
}
