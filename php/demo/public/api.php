<?php

declare(strict_types=1);

use Demo\Request;
use Demo\Stock;

require __DIR__ . '/../src/start.php';

// api.php/records/stock and api.php/records/stock/3, as PHP-CRUD-API has them.
$method = Request::method('GET', 'POST', 'PUT', 'DELETE');
if ($method !== 'GET') {
    Request::ownPage();
}
if (preg_match('~^/records/stock(?:/([0-9]{1,15}))?$~D', $_SERVER['PATH_INFO'] ?? '', $path) !== 1) {
    Request::refuse(404, 'There is /records/stock and /records/stock/ID.');
}
$stock = new Stock();
$id = isset($path[1]) ? (int) $path[1] : null;
if ($id === null) {
    match ($method) {
        'GET' => Request::answer(['records' => $stock->all()]),
        'POST' => Request::answer($stock->create(Request::json())),
        default => Request::refuse(405, "$method needs the id of a record."),
    };
    exit;
}
$record = $stock->one($id) ?? Request::refuse(404, "Record '$id' not found");
match ($method) {
    'GET' => Request::answer($record),
    'PUT' => Request::answer($stock->update($id, Request::json())),
    'DELETE' => Request::answer($stock->delete($id)),
    default => Request::refuse(405, 'A record is created at /records/stock.'),
};
