<?php

declare(strict_types=1);

use App\Application;
use Symfony\Component\HttpFoundation\Request;

require __DIR__ . '/loader.php';

$debug = getenv('APP_DEBUG') === '1' || ($_SERVER['APP_DEBUG'] ?? '') === '1';
$kernel = new Application($debug ? 'dev' : 'prod', $debug);
$request = Request::createFromGlobals();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
