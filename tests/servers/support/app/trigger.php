<?php

declare(strict_types=1);

header('Content-Type: application/json');
echo json_encode(['taken' => SseTrigger::push(...explode(',', $_GET['topic']))], JSON_THROW_ON_ERROR);
