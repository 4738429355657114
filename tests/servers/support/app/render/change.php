<?php

declare(strict_types=1);

require __DIR__ . '/store.php';

header('Content-Type: application/json');
echo json_encode(array_map(change(...), array_map('intval', explode(',', $_GET['users']))), JSON_THROW_ON_ERROR);
